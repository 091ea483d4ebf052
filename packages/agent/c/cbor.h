/*
 * Reads the one deterministic encoding of CBOR (RFC 8949 section 4.2.1), item by item: the caller says what must come
 * next. The first thing that is otherwise makes the reader unsound, and it stays so: whoever has read everything asks
 * `sound` once.
 */
#ifndef KEYSTEAD_CBOR_H
#define KEYSTEAD_CBOR_H

#include "keystead.h"

struct ks_cbor {
  const uint8_t *at;
  size_t left;
  bool sound;
};

enum ks_cbor_major {
  KS_CBOR_UNSIGNED = 0,
  KS_CBOR_NEGATIVE = 1,
  KS_CBOR_BYTES = 2,
  KS_CBOR_TEXT = 3,
  KS_CBOR_ARRAY = 4,
  KS_CBOR_MAP = 5
};

struct ks_cbor ks_cbor_of(struct ks_bytes bytes);

/* The argument of a head in its shortest form; 0 when there is another. */
uint64_t ks_cbor_head(struct ks_cbor *reader, enum ks_cbor_major major);

/* A number within bounds; the least one when there is another. */
uint64_t ks_cbor_number(struct ks_cbor *reader, uint64_t least, uint64_t most);

/* Seconds since 1970, until the end of 9999. */
int64_t ks_cbor_time(struct ks_cbor *reader);

/* A byte string (KS_CBOR_BYTES) or text (KS_CBOR_TEXT) of a length within bounds. */
struct ks_bytes ks_cbor_string(struct ks_cbor *reader, enum ks_cbor_major major, size_t least, size_t most);

/* Text of 1 to 32 of a-z 0-9 -, the first of which is not a hyphen. */
struct ks_bytes ks_cbor_name(struct ks_cbor *reader);

/* 32 bytes; NULL when there is something else. */
const uint8_t *ks_cbor_hash(struct ks_cbor *reader);

/* Null, when that comes next: it is read then, and nothing otherwise. */
bool ks_cbor_null(struct ks_cbor *reader);

/* Says what must come next: the key of a map, or the number of items. */
void ks_cbor_expect(struct ks_cbor *reader, enum ks_cbor_major major, uint64_t argument);

/* Whether everything was as it must be and nothing is left. */
bool ks_cbor_ended(const struct ks_cbor *reader);

#endif
