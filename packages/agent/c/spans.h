/* Bytes and numbers in them, for the files of this library. */
#ifndef KEYSTEAD_SPANS_H
#define KEYSTEAD_SPANS_H

#include <string.h>

#include "keystead.h"

static inline uint64_t ks_big_endian(const uint8_t *digits, size_t width) {
  uint64_t number = 0;
  for (size_t index = 0; index < width; index += 1u) {
    number = (number << 8) | digits[index];
  }
  return number;
}

/* Of hashes and names, all of them public: nothing secret is compared anywhere in this library. */
static inline bool ks_same(struct ks_bytes one, struct ks_bytes other) {
  return (one.length == other.length) && ((one.length == 0u) || (memcmp(one.at, other.at, one.length) == 0));
}

static inline bool ks_same_hash(const uint8_t *one, const uint8_t *other) {
  return memcmp(one, other, KS_SHA256_BYTES) == 0;
}

static inline struct ks_bytes ks_span(const uint8_t *at, size_t length) {
  const struct ks_bytes bytes = {at, length};
  return bytes;
}

static inline bool ks_clock_is_set(int64_t now) {
  return (now >= 0) && (now <= KS_LATEST_TIME);
}

#endif
