"""Build what needs code: one kernel stub per instruction set, OpenMP by a probe, the extension."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError, PlatformError

# gnu11: under c11 the compilers make no FMA of a * b + c, whatever -ffp-contract says. Never
# -ffast-math: NaN and signed zeros must hold. Never -march=native: a wheel must run on other
# machines than its maker's.
FLAGS = (
    "-std=gnu11 -O3 -g0 -ffp-contract=fast -fno-math-errno -fno-trapping-math -fvisibility=hidden"
).split()
WARNINGS = ["-Wall", "-Wextra"]

# Instruction set: macro of its target machine (None: any), compiler flags. Its stubs are
# csrc/kernels/isa/<name>_*.c; the other C files see FM_HAVE_<NAME>=1 for those compiled.
X86, ARM = "__x86_64__", "__aarch64__"
STUBS: dict[str, tuple[str | None, list[str]]] = {
    "scalar": (None, ["-fno-tree-vectorize"]),
    "sse2": (X86, []),
    "avx2": (X86, "-mavx2 -mfma -mf16c -mbmi -mbmi2".split()),
    "avx512": (
        X86,
        "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mbmi -mbmi2 "
        "-mprefer-vector-width=512".split(),
    ),
    "neon": (ARM, []),
}


class BuildCore(build_ext):
    """Compile the objects in parallel, each with its own flags, and only those out of date."""

    def build_extension(self, ext: Extension) -> None:
        import numpy
        from Cython.Build import cythonize

        self.require_headers_and_gnu_c()
        # Not build_temp: an editable install makes that anew each time, and every object with it.
        base = Path(self.get_finalized_command("build").build_base)
        self.objects = base / f"objects-{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
        openmp, openmp_link = self.probe_openmp()
        stubs = [name for name in STUBS if self.probe_stub(name)]
        print(
            f"fastmlp: kernels for {', '.join(stubs)}; "
            f"{'OpenMP' if openmp else 'serial, without OpenMP'}"
        )

        # The user's CFLAGS come after ours, so that -O1 or -g works, but before what a stub needs.
        shared = [*FLAGS, *openmp, *shlex.split(os.environ.get("CFLAGS", ""))]
        checked = [*shared, *WARNINGS]
        have = [(f"FM_HAVE_{name.upper()}", "1") for name in stubs]
        binding = cythonize([ext], build_dir=str(base / "cython"), force=self.force)[0].sources[0]
        jobs = [(binding, shared, [], [numpy.get_include()])]
        for name in stubs:
            jobs += [
                (source, checked + STUBS[name][1], [], [])
                for source in sources(f"kernels/isa/{name}_*.c")
            ]
        jobs += [(source, checked, have, []) for source in sources("[!k]*/*.c")]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda job: self.compile_if_changed(*job), jobs))

        target = self.get_ext_fullpath(ext.name)
        self.mkpath(os.path.dirname(target))
        libraries = self.get_libraries(ext)
        symbols = self.get_export_symbols(ext)
        self.compiler.link_shared_object(
            objects, target, libraries=libraries, export_symbols=symbols, extra_postargs=openmp_link
        )

    def require_headers_and_gnu_c(self) -> None:
        """Say what to install where the build cannot work; on Windows, choose clang-cl."""
        include = sysconfig.get_path("include")
        if not any(Path(place, "Python.h").exists() for place in [include, *search_path("CPATH")]):
            raise PlatformError(
                f"fastmlp needs the headers of Python, and there is no Python.h in {include} "
                "(Debian and Ubuntu: apt install python3-dev; Fedora: dnf install python3-devel)"
            )
        if self.compiler.compiler_type == "msvc":
            clang_cl = shutil.which("clang-cl")
            if clang_cl is None:
                raise PlatformError(
                    "fastmlp is GNU C, which MSVC does not compile: install clang-cl (LLVM)"
                )
            self.compiler.initialize()
            self.compiler.cc = clang_cl

    def probe_openmp(self) -> tuple[list[str], list[str]]:
        """Return the flags to compile and to link with OpenMP; none if missing or unwanted."""
        if os.environ.get("FASTMLP_OPENMP") == "0":
            return [], []
        code = "#include <omp.h>\nint probe(void) { return omp_get_max_threads(); }\n"
        flags, link = ["-fopenmp"], ["-fopenmp"]
        if sys.platform == "darwin":  # Apple's driver refuses -fopenmp, its compiler does not
            flags, link = ["-Xpreprocessor", "-fopenmp"], ["-lomp"]
        return (flags, link) if self.compiles(code, flags, link) else ([], [])

    def probe_stub(self, name: str) -> bool:
        """Return whether the compiler makes code for the stub's machine and instruction set."""
        machine, flags = STUBS[name]
        return self.compiles(f"#ifndef {machine}\n#error\n#endif\n" if machine else "", flags)

    def compiles(self, code: str, flags: list[str], link: list[str] | None = None) -> bool:
        """Return whether the code compiles with the flags and, if given, links by the others."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(code + "int fm_probe = 1;\n")
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=self.as_taken(flags)
                )
                if link is not None:
                    target = str(source.with_suffix(".so"))
                    self.compiler.link_shared_object(objects, target, extra_postargs=link)
            except (CompileError, LinkError):
                return False
        return True

    def compile_if_changed(
        self, source: str, flags: list[str], macros: list[tuple[str, str]], includes: list[str]
    ) -> str:
        """Return the object of the source, compiled anew if an origin or the command changed."""
        (made,) = self.compiler.object_filenames([source], output_dir=str(self.objects))
        listing, record = Path(made).with_suffix(".d"), Path(made).with_suffix(".command")
        compiler = getattr(self.compiler, "compiler_so", None) or self.compiler.cc
        command = repr((compiler, source, flags, macros, includes))
        if (
            not self.force
            and record.exists()
            and record.read_text() == command
            and is_newest(made, listing)
        ):
            return made
        record.unlink(missing_ok=True)
        self.compiler.compile(
            [source],
            output_dir=str(self.objects),
            macros=macros,
            include_dirs=["csrc", *includes],
            extra_postargs=self.as_taken([*flags, "-MMD", "-MF", str(listing)]),
        )
        record.write_text(command)
        return made

    def as_taken(self, flags: list[str]) -> list[str]:
        """Return gcc's flags in the form in which this compiler takes them."""
        return (
            [f"/clang:{flag}" for flag in flags] if self.compiler.compiler_type == "msvc" else flags
        )


def is_newest(made: str, listing: Path) -> bool:
    """Return whether a file is newer than all that the compiler's listing, a make rule, names."""
    try:
        origins = listing.read_text().replace("\\\n", " ").split(": ", 1)[1]
        return all(
            os.path.getmtime(origin) < os.path.getmtime(made) for origin in shlex.split(origins)
        )
    except OSError:
        return False


def sources(pattern: str) -> list[str]:
    """Return the C sources that match, in an order that does not depend on the file system."""
    return sorted(str(path) for path in Path("csrc").glob(pattern))


def search_path(variable: str) -> Sequence[str]:
    """Return the folders that an environment variable lists."""
    return [place for place in os.environ.get(variable, "").split(os.pathsep) if place]


setup(
    ext_modules=[Extension("fastmlp._core", ["src/fastmlp/_core.pyx"])],
    cmdclass={"build_ext": BuildCore},
)
