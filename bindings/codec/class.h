/* class: metatables that scripts have registered, and that travel by their name. */
#ifndef NEAP_BINDINGS_CODEC_CLASS_H
#define NEAP_BINDINGS_CODEC_CLASS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct neap_class;
struct neap_class_box;
struct neap_encoder;
struct neap_parcel;
struct neap_scratch;

/* Of blueprints: what a message carries of the classes of its values. */
extern const struct neap_class neap_blueprint_class;

/* Makes the tables of classes. */
void neap_class_open(lua_State *L, struct neap_encoder *encoder);

/* The class whose metatable is on top of the stack, ready to be sent; NULL if there is none. Drops the message and
 * raises when the metatable cannot be sent. */
struct neap_class_box *neap_class_find(lua_State *L, struct neap_scratch *scratch);
const char *neap_class_name(const struct neap_class_box *box, uint32_t *length);
/* Adds to the objects of a message what receivers need that do not know its classes. */
void neap_class_put_blueprints(lua_State *L, struct neap_scratch *scratch);

/* Makes all classes known whose blueprints are among the objects of `parcel`. Raises. */
void neap_class_learn(lua_State *L, const struct neap_parcel *parcel);
/* Pushes the metatable of the class whose name is on top of the stack (popped), or nil and false. */
bool neap_class_push(lua_State *L);

#endif
