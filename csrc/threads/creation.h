/* creation.h -- whether the system grants threads, found out before OpenMP asks for them */
#ifndef FM_CREATION_H
#define FM_CREATION_H

/* How many more threads, at most `wanted` (below FM_MOST_THREADS), this process can have. What is
 * refused is tried again until `patience` seconds have passed. */
int fm_threads_creatable(int wanted, double patience);

#endif
