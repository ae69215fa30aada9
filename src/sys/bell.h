/* A doorbell between processes: an eventfd that one consumer polls and anybody may ring. */
#pragma once

/* Non-blocking, close-on-exec eventfd, or negative errno. */
int bell_new(void);
/* A full counter is success: the consumer is going to wake anyway. */
void bell_ring(int fd);
/* Takes all rings; before looking at what they announce. */
void bell_drain(int fd);
