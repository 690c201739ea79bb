/* format: what the bytes of a parcel mean. Native byte order, nothing aligned: a parcel never leaves its machine.
 *
 * LAYOUT     header, values, class names. A parcel holds `count` values: one, or with NEAP_FORMAT_LIST a list of them.
 *            The class names (a number, then so many strings) stand at `classes_at`, which is 0 when there are none.
 * VALUE      a tag byte, then what the tag says below. u32 and u8 are unsigned, i32 and i64 signed.
 *            A container is followed by its parts, which are values themselves: a table by its array part and then its
 *            pairs, a function by its upvalues.
 * REFERENCES Every table and function has an ordinal: they are counted from 1 in the order of their tags. One that is
 *            mentioned again has the lowest bit of its tag set (NEAP_TAG_SHARED), so that the reader keeps no others.
 * OBJECTS    u32 indexes of the parcel's objects: handles, the code of functions, blueprints of classes. */
#ifndef NEAP_BINDINGS_CODEC_FORMAT_H
#define NEAP_BINDINGS_CODEC_FORMAT_H

#include <stdint.h>

enum neap_tag {
    NEAP_TAG_NIL,
    NEAP_TAG_FALSE,
    NEAP_TAG_TRUE,
    NEAP_TAG_NULL,    /* neap.null */
    NEAP_TAG_GLOBALS, /* the receiver's globals */
    NEAP_TAG_INT32,   /* i32 */
    NEAP_TAG_INT64,   /* i64 */
    NEAP_TAG_NUMBER,  /* a double */
    NEAP_TAG_STRING,  /* u32 length, bytes */
    NEAP_TAG_REF,     /* u32 ordinal of a shared table or function */
    NEAP_TAG_JOIN,    /* u32 ordinal of a shared function, u8 number: an upvalue that is that one of its upvalues */
    NEAP_TAG_OBJECT,  /* u32 object: a handle */
    NEAP_TAG_NAME,    /* u32 length, bytes: the name of a permanent, its parts divided by zero bytes */
    NEAP_TAG_CLASS,   /* u32 index of the class names: the metatable of that class */

    /* With an ordinal. The lowest bit is NEAP_TAG_SHARED. */
    NEAP_TAG_TABLE = 0x10,    /* u32 array, u32 pairs */
    NEAP_TAG_INSTANCE = 0x12, /* u32 array, u32 pairs, u32 index of the class names: a table of that class */
    NEAP_TAG_META = 0x14,     /* u32 array, u32 pairs: its metatable follows its parts. Only in the body of a class */
    NEAP_TAG_FUNCTION = 0x16, /* u32 object: its code. All its upvalues follow */
    NEAP_TAG_PLAIN = 0x18,    /* u32 object: its code. No upvalue but its globals: may be one that is there */
    NEAP_TAG_ENVIRONMENT = 0x1A, /* u32 array, u32 pairs: a table that falls back on the receiver's globals */
    NEAP_TAG_INLINE = 0x1C,      /* reserved for bytecode that comes over the link of two processes; refused so far */

    NEAP_TAG_SHORT = 0x40, /* .. 0x7F: a string of tag - NEAP_TAG_SHORT bytes, which follow */
    NEAP_TAG_SMALL = 0x80  /* .. 0xFF: the integer tag - NEAP_TAG_SMALL */
};

enum {
    NEAP_TAG_SHARED = 1,
    NEAP_FORMAT_VERSION = 1,
    NEAP_FORMAT_LIST = 1,                     /* in flags: written by neap_encode_all */
    NEAP_FORMAT_SHORT_MAX = 63,               /* bytes of a string behind one tag */
    NEAP_FORMAT_SMALL_MAX = 127,              /* the greatest integer in a tag */
    NEAP_FORMAT_DEPTH_MAX = 100000,           /* containers within one another */
    NEAP_FORMAT_TABLE_SIZE = 9,               /* bytes of a table before its parts */
    NEAP_FORMAT_SIZE_MAX = 1024 * 1024 * 1024 /* bytes of a parcel */
};

struct neap_format_header {
    uint8_t version;     /* NEAP_FORMAT_VERSION */
    uint8_t flags;       /* NEAP_FORMAT_LIST */
    uint16_t reserved;   /* 0 */
    uint32_t count;      /* values */
    uint32_t depth;      /* containers that are open at once, at most */
    uint32_t shared;     /* values with NEAP_TAG_SHARED: a hint */
    uint32_t classes_at; /* offset of the class names from the header; 0: none */
};

#endif
