"""What a network tells about itself: diagnosis, gradient check, summary."""
