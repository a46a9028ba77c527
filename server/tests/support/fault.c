/* Loaded before the C library (LD_PRELOAD): lets system calls on files fail while the file named by FAULT exists. Its text is
   the kind of call, `sync`, `write` or `read`; with ` once` behind it, only the next one fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *kind) {
  const char *path = getenv("FAULT");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (!file) return 0;
  char text[32] = {0};
  size_t length = fread(text, 1, sizeof text - 1, file), known = strlen(kind);
  fclose(file);
  if (length < known || strncmp(text, kind, known) != 0) return 0;
  if (strstr(text, " once")) unlink(path);
  return 1;
}

#define FAIL(error) do { errno = error; return -1; } while (0)

int fdatasync(int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
  if (fails("sync")) FAIL(EIO);
  return real(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
  ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");
  if (fails("write")) FAIL(ENOSPC);
  return real(fd, bytes, count, at);
}

ssize_t pread64(int fd, void *bytes, size_t count, off_t at) {
  ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread64");
  if (fails("read")) FAIL(EIO);
  return real(fd, bytes, count, at);
}
