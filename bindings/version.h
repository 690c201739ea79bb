/* version: of the whole. */
#ifndef NEAP_BINDINGS_VERSION_H
#define NEAP_BINDINGS_VERSION_H

#define NEAP_VERSION "0.1.0"

#endif
