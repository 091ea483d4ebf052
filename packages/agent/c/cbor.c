#include "cbor.h"

#include "spans.h"

#define NULL_VALUE 0xf6u
#define NAME_MOST 32u

struct ks_cbor ks_cbor_of(struct ks_bytes bytes) {
  const struct ks_cbor reader = {bytes.at, bytes.length, true};
  return reader;
}

static uint64_t unsound(struct ks_cbor *reader) {
  reader->sound = false;
  reader->left = 0;
  return 0;
}

static const uint8_t *take(struct ks_cbor *reader, size_t length) {
  const uint8_t *const from = reader->at;
  if (length > reader->left) {
    (void)unsound(reader);
    return NULL;
  }
  reader->at += length;
  reader->left -= length;
  return from;
}

uint64_t ks_cbor_head(struct ks_cbor *reader, enum ks_cbor_major major) {
  const uint8_t *const first = take(reader, 1);
  if ((first == NULL) || ((enum ks_cbor_major)(*first >> 5) != major)) {
    return unsound(reader);
  }
  const unsigned info = *first & 0x1fu;
  if (info < 24u) {
    return info;
  }
  if (info > 27u) {
    return unsound(reader);
  }
  const size_t width = (size_t)1u << (info - 24u);
  const uint8_t *const digits = take(reader, width);
  if (digits == NULL) {
    return 0;
  }
  const uint64_t argument = ks_big_endian(digits, width);
  /* What would have fitted into the next shorter form is another encoding. */
  const uint64_t least = (width == 1u) ? 24u : ((uint64_t)1u << (4u * width));
  return (argument < least) ? unsound(reader) : argument;
}

uint64_t ks_cbor_number(struct ks_cbor *reader, uint64_t least, uint64_t most) {
  const uint64_t number = ks_cbor_head(reader, KS_CBOR_UNSIGNED);
  if (!reader->sound || (number < least) || (number > most)) {
    (void)unsound(reader);
    return least;
  }
  return number;
}

int64_t ks_cbor_time(struct ks_cbor *reader) {
  return (int64_t)ks_cbor_number(reader, 0, (uint64_t)KS_LATEST_TIME);
}

struct ks_bytes ks_cbor_string(struct ks_cbor *reader, enum ks_cbor_major major, size_t least, size_t most) {
  struct ks_bytes string = {NULL, 0};
  const uint64_t length = ks_cbor_head(reader, major);
  if (!reader->sound || (length < least) || (length > most)) {
    (void)unsound(reader);
    return string;
  }
  string.at = take(reader, (size_t)length);
  string.length = (string.at == NULL) ? 0u : (size_t)length;
  return string;
}

static bool is_plain(uint8_t letter) {
  return ((letter >= (uint8_t)'a') && (letter <= (uint8_t)'z')) ||
         ((letter >= (uint8_t)'0') && (letter <= (uint8_t)'9'));
}

struct ks_bytes ks_cbor_name(struct ks_cbor *reader) {
  const struct ks_bytes name = ks_cbor_string(reader, KS_CBOR_TEXT, 1, NAME_MOST);
  for (size_t index = 0; index < name.length; index += 1u) {
    const bool allowed = is_plain(name.at[index]) || ((index > 0u) && (name.at[index] == (uint8_t)'-'));
    if (!allowed) {
      (void)unsound(reader);
    }
  }
  return name;
}

const uint8_t *ks_cbor_hash(struct ks_cbor *reader) {
  return ks_cbor_string(reader, KS_CBOR_BYTES, KS_SHA256_BYTES, KS_SHA256_BYTES).at;
}

bool ks_cbor_null(struct ks_cbor *reader) {
  if (!reader->sound || (reader->left == 0u) || (*reader->at != NULL_VALUE)) {
    return false;
  }
  (void)take(reader, 1);
  return true;
}

void ks_cbor_expect(struct ks_cbor *reader, enum ks_cbor_major major, uint64_t argument) {
  const uint64_t seen = ks_cbor_head(reader, major);
  if (seen != argument) {
    (void)unsound(reader);
  }
}

bool ks_cbor_ended(const struct ks_cbor *reader) {
  return reader->sound && (reader->left == 0u);
}
