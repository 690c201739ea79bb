/* library: shared libraries that are loaded when they are first needed. */
#ifndef NEAP_IO_LIBRARY_H
#define NEAP_IO_LIBRARY_H

/* Loads the library of that name, or finds it again. NEAP_MISSING: there is none that is of use; UV_EMFILE, UV_ENFILE:
 * there is no descriptor left to read it with. Any thread. */
int neap_library_open(const char *name, void **library);

#endif
