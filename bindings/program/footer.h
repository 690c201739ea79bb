/* footer: what the Lua half needs of the terminal that stderr is. See host/screen.h. */
#ifndef NEAP_BINDINGS_PROGRAM_FOOTER_H
#define NEAP_BINDINGS_PROGRAM_FOOTER_H

#include <lauxlib.h>

/* draw(above, footer): prints whole lines, and has others stand below everything from then on.
 * size() -> columns, rows; nil: stderr is no terminal. */
extern const luaL_Reg neap_footer_functions[];

#endif
