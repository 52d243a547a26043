/* Descriptors of the library's own. Internal. */
#ifndef WRENN_DESCRIPTOR_H
#define WRENN_DESCRIPTOR_H

/* A process may run without standard streams. What is printed to them must not
 * end up in a new descriptor: moves it to a higher number. Returns it; or -1,
 * as given or with errno set. */
int wrenn_above_streams(int fd);

#endif
