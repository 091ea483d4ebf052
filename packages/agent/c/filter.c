#include "spans.h"

/* The file of a revocation filter, and what it says: docs/filter.md has it byte for byte. */

#define FILE_MOST (64u * 1024u * 1024u)
#define HEADER_BYTES 64u
#define BLOCKS_MOST 1024u
#define BAND 224u
#define BAND_WORDS 7u
#define COLUMNS_MOST 32u

enum level { LEVEL_APPROXIMATE = 1, LEVEL_EXACT = 2, LEVEL_LIST = 3 };
enum form { FORM_NONE = 0, FORM_LIST = 1, FORM_RIBBON = 2 };
enum flag { FLAG_INVERTED = 1, FLAG_THROUGH = 2 };

/* Takes what is there, and never more; what is missing makes it unsound. */
struct cursor {
  const uint8_t *at;
  size_t left;
  bool sound;
};

struct ribbon {
  uint8_t salt;
  uint8_t columns;
  uint32_t size;
  const uint8_t *bits;
};

struct block {
  const uint8_t *issuer;
  bool inverted;
  int64_t through; /* of its own, or that of the file */
  enum form form;
  uint8_t width;
  uint32_t count;
  const uint8_t *prefixes;
  struct ribbon approximate;
  struct ribbon exact;
};

struct file {
  const uint8_t *base; /* NULL: it stands alone */
  int64_t date;
  int64_t through;
  int64_t expires;
  size_t blocks;
  struct cursor first;
};

static const uint8_t *take(struct cursor *cursor, size_t length) {
  const uint8_t *const from = cursor->at;
  if (!cursor->sound || (length > cursor->left)) {
    cursor->sound = false;
    return NULL;
  }
  cursor->at += length;
  cursor->left -= length;
  return from;
}

static uint64_t number(struct cursor *cursor, size_t width) {
  const uint8_t *const digits = take(cursor, width);
  return (digits == NULL) ? 0u : ks_big_endian(digits, width);
}

static int64_t time_of(struct cursor *cursor) {
  const uint64_t seconds = number(cursor, 8);
  if (seconds > (uint64_t)KS_LATEST_TIME) {
    cursor->sound = false;
    return 0;
  }
  return (int64_t)seconds;
}

static size_t column_bytes(uint32_t size) {
  return ((size_t)size / 8u) + (((size % 8u) == 0u) ? 0u : 1u);
}

/* Bits behind the end of a column would make two files of one filter. */
static bool ends_in_zeros(const struct ribbon *ribbon) {
  const size_t length = column_bytes(ribbon->size);
  if ((ribbon->size % 8u) == 0u) {
    return true;
  }
  for (size_t column = 0; column < ribbon->columns; column += 1u) {
    if ((ribbon->bits[(column * length) + length - 1u] >> (ribbon->size % 8u)) != 0u) {
      return false;
    }
  }
  return true;
}

static void read_ribbon(struct cursor *cursor, struct ribbon *ribbon) {
  ribbon->salt = (uint8_t)number(cursor, 1);
  ribbon->columns = (uint8_t)number(cursor, 1);
  ribbon->size = (uint32_t)number(cursor, 4);
  const bool empty = (ribbon->size == 0u) && (ribbon->columns == 0u);
  if (!empty && ((ribbon->size < BAND) || (ribbon->columns == 0u) || (ribbon->columns > COLUMNS_MOST))) {
    cursor->sound = false;
    return;
  }
  const size_t length = column_bytes(ribbon->size);
  /* So compared, the product cannot pass what a size_t holds. */
  if (length > cursor->left) {
    cursor->sound = false;
    return;
  }
  if ((ribbon->columns != 0u) && (length > (cursor->left / ribbon->columns))) {
    cursor->sound = false;
    return;
  }
  ribbon->bits = take(cursor, length * ribbon->columns);
}

static void read_list(struct cursor *cursor, struct block *block) {
  block->width = (uint8_t)number(cursor, 1);
  block->count = (uint32_t)number(cursor, 4);
  if ((block->width < 1u) || (block->width > KS_SHA256_BYTES) || (block->count == 0u) ||
      (block->count > (cursor->left / block->width))) {
    cursor->sound = false;
    return;
  }
  block->prefixes = take(cursor, (size_t)block->width * block->count);
}

/* One block, so far that the next can be read; a look-up needs no more. */
static bool read_block(struct cursor *cursor, const struct file *file, struct block *block) {
  (void)memset(block, 0, sizeof(*block));
  block->issuer = take(cursor, KS_SHA256_BYTES);
  const uint64_t flags = number(cursor, 1);
  const uint64_t form = number(cursor, 1);
  if (!cursor->sound || (flags > ((uint64_t)FLAG_INVERTED | (uint64_t)FLAG_THROUGH)) ||
      (form > (uint64_t)FORM_RIBBON)) {
    cursor->sound = false;
    return false;
  }
  block->inverted = (flags & (uint64_t)FLAG_INVERTED) != 0u;
  block->through = file->through;
  block->form = (enum form)form;
  if ((flags & (uint64_t)FLAG_THROUGH) != 0u) {
    block->through = time_of(cursor);
    /* One that is not earlier would be a second spelling of the file's own. */
    if (block->through >= file->through) {
      cursor->sound = false;
    }
  }
  if (block->form == FORM_LIST) {
    read_list(cursor, block);
  } else if (block->form == FORM_RIBBON) {
    read_ribbon(cursor, &block->approximate);
    read_ribbon(cursor, &block->exact);
    if (block->exact.columns > 1u) {
      cursor->sound = false;
    }
  } else {
    /* nothing follows */
  }
  return cursor->sound;
}

/* What only has to be looked at once: that nothing has a second spelling. */
static bool is_canonical(const struct block *block) {
  if (block->form == FORM_LIST) {
    for (size_t index = 1; index < block->count; index += 1u) {
      const uint8_t *const before = &block->prefixes[(index - 1u) * block->width];
      if (memcmp(before, before + block->width, block->width) >= 0) {
        return false;
      }
    }
  }
  if (block->form == FORM_RIBBON) {
    return ends_in_zeros(&block->approximate) && ends_in_zeros(&block->exact);
  }
  return true;
}

static bool read_header(struct ks_bytes bytes, struct file *file) {
  static const uint8_t magic[] = {'K', 'S', 'R', 'F', 1};
  static const uint8_t no_base[KS_SHA256_BYTES] = {0};
  struct cursor cursor = {bytes.at, bytes.length, (bytes.length >= HEADER_BYTES) && (bytes.length <= FILE_MOST)};
  const uint8_t *const begin = take(&cursor, sizeof(magic));
  const uint64_t kind = number(&cursor, 1);
  file->date = time_of(&cursor);
  file->through = time_of(&cursor);
  file->expires = time_of(&cursor);
  const uint8_t *const base = take(&cursor, KS_SHA256_BYTES);
  file->blocks = (size_t)number(&cursor, 2);
  if (!cursor.sound || (begin == NULL) || (base == NULL) || (memcmp(begin, magic, sizeof(magic)) != 0)) {
    return false;
  }
  const bool has_base = !ks_same_hash(base, no_base);
  file->base = has_base ? base : NULL;
  file->first = cursor;
  return (kind <= 1u) && (has_base == (kind == 1u)) && (file->through <= file->date) && (file->date < file->expires) &&
         (file->blocks <= BLOCKS_MOST);
}

static bool read_file(struct ks_bytes bytes, struct file *file) {
  struct block block;
  const uint8_t *last = NULL;
  if (!read_header(bytes, file)) {
    return false;
  }
  struct cursor cursor = file->first;
  for (size_t index = 0; index < file->blocks; index += 1u) {
    if (!read_block(&cursor, file, &block) || !is_canonical(&block)) {
      return false;
    }
    if ((last != NULL) && (memcmp(last, block.issuer, KS_SHA256_BYTES) >= 0)) {
      return false;
    }
    last = block.issuer;
  }
  return cursor.left == 0u;
}

enum ks_result ks_filter_open(const struct ks_crypto *crypto, const struct ks_bytes *files, size_t count,
                              const uint8_t named[KS_SHA256_BYTES], struct ks_filter *filter) {
  uint8_t hash[KS_SHA256_BYTES] = {0};
  struct file file;
  (void)memset(filter, 0, sizeof(*filter));
  if (count == 0u) {
    return KS_FILTER_MALFORMED;
  }
  int64_t date = 0;
  int64_t through = 0;
  for (size_t index = 0; index < count; index += 1u) {
    if (!read_file(files[index], &file)) {
      return KS_FILTER_MALFORMED;
    }
    const bool follows = (index == 0u) ? (file.base == NULL)
                                       : ((file.base != NULL) && ks_same_hash(file.base, hash) &&
                                          (file.date >= date) && (file.through >= through));
    if (!follows) {
      return KS_FILTER_BASE_DIFFERS;
    }
    if (!crypto->sha256(crypto->context, &files[index], 1, hash)) {
      return KS_CRYPTO_FAILED;
    }
    date = file.date;
    through = file.through;
  }
  if ((named == NULL) || !ks_same_hash(hash, named)) {
    return KS_FILTER_NOT_NAMED;
  }
  filter->files = files;
  filter->count = count;
  filter->date = date;
  filter->through = through;
  filter->expires = file.expires;
  return KS_OK;
}

/* ---- the look-up ---- */

struct asked {
  const struct ks_crypto *crypto;
  const uint8_t *issuer;
  struct ks_bytes serial;
  bool failed;
};

static void hash_of(struct asked *asked, enum level level, uint8_t salt, uint8_t hash[KS_SHA256_BYTES]) {
  const uint8_t begin[2] = {(uint8_t)level, salt};
  const struct ks_bytes parts[3] = {{begin, sizeof(begin)}, {asked->issuer, KS_SHA256_BYTES}, asked->serial};
  if (!asked->crypto->sha256(asked->crypto->context, parts, 3, hash)) {
    asked->failed = true;
    (void)memset(hash, 0, KS_SHA256_BYTES);
  }
}

/* 32 bits of a column from bit `from` on; the caller has seen that they are there. */
static uint32_t bits_at(const uint8_t *column, uint32_t from) {
  const uint8_t *const at = &column[from / 8u];
  const unsigned shift = from % 8u;
  uint32_t bits = (uint32_t)at[0] | ((uint32_t)at[1] << 8) | ((uint32_t)at[2] << 16) | ((uint32_t)at[3] << 24);
  if (shift != 0u) {
    bits = (bits >> shift) | ((uint32_t)at[4] << (32u - shift));
  }
  return bits;
}

static bool is_odd(uint32_t word) {
  uint32_t bits = word ^ (word >> 16);
  bits ^= bits >> 8;
  bits ^= bits >> 4;
  return ((0x6996u >> (bits & 0xfu)) & 1u) != 0u;
}

/* Whether the sum of every column is `wanted`: over the band that the hash gives. */
static bool sums_are(const struct ribbon *ribbon, const uint8_t hash[KS_SHA256_BYTES], bool wanted) {
  const uint64_t places = (uint64_t)ribbon->size - BAND + 1u;
  const uint32_t start = (uint32_t)((ks_big_endian(hash, 4) * places) >> 32);
  const size_t length = column_bytes(ribbon->size);
  for (size_t column = 0; column < ribbon->columns; column += 1u) {
    uint32_t sum = 0;
    for (uint32_t word = 0; word < BAND_WORDS; word += 1u) {
      uint32_t coefficients = (uint32_t)ks_big_endian(&hash[4u + (4u * word)], 4);
      if (word == 0u) {
        coefficients |= 1u;
      }
      sum ^= coefficients & bits_at(&ribbon->bits[column * length], start + (32u * word));
    }
    if (is_odd(sum) != wanted) {
      return false;
    }
  }
  return true;
}

static bool is_among(const struct block *block, const uint8_t hash[KS_SHA256_BYTES]) {
  size_t low = 0;
  size_t high = block->count;
  while (low < high) {
    const size_t middle = low + ((high - low) / 2u);
    const int order = memcmp(&block->prefixes[middle * block->width], hash, block->width);
    if (order == 0) {
      return true;
    }
    if (order < 0) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  return false;
}

static bool is_listed(const struct block *block, struct asked *asked) {
  uint8_t hash[KS_SHA256_BYTES];
  if (block->form == FORM_NONE) {
    return false;
  }
  if (block->form == FORM_LIST) {
    hash_of(asked, LEVEL_LIST, 0, hash);
    return is_among(block, hash);
  }
  if (block->approximate.columns != 0u) {
    hash_of(asked, LEVEL_APPROXIMATE, block->approximate.salt, hash);
    if (!sums_are(&block->approximate, hash, false)) {
      return false;
    }
  }
  if (block->exact.columns == 0u) {
    return true;
  }
  hash_of(asked, LEVEL_EXACT, block->exact.salt, hash);
  return sums_are(&block->exact, hash, true);
}

/* The block of an issuer in one file; false when it has none. */
static bool find_block(struct ks_bytes bytes, const uint8_t *issuer, struct block *block) {
  struct file file;
  if (!read_header(bytes, &file)) {
    return false;
  }
  struct cursor cursor = file.first;
  for (size_t index = 0; index < file.blocks; index += 1u) {
    if (!read_block(&cursor, &file, block)) {
      return false;
    }
    if (ks_same_hash(block->issuer, issuer)) {
      return true;
    }
  }
  return false;
}

/* A leading zero octet only says that the number is positive; a negative one was never issued. */
static bool normalise(struct ks_bytes *serial) {
  if ((serial->length == 0u) || ((serial->at[0] & 0x80u) != 0u)) {
    return false;
  }
  if ((serial->length > 1u) && (serial->at[0] == 0u)) {
    serial->at += 1;
    serial->length -= 1u;
  }
  return true;
}

int64_t ks_filter_through(const struct ks_filter *filter, const uint8_t issuer_spki_sha256[KS_SHA256_BYTES]) {
  struct block block;
  /* What the last file that knows an issuer says of it holds, also where it says less than one before. */
  for (size_t left = filter->count; left > 0u; left -= 1u) {
    if (find_block(filter->files[left - 1u], issuer_spki_sha256, &block)) {
      return block.through;
    }
  }
  return filter->through;
}

enum ks_status ks_filter_says(const struct ks_crypto *crypto, const struct ks_filter *filter,
                              const uint8_t issuer_spki_sha256[KS_SHA256_BYTES], struct ks_bytes serial) {
  struct asked asked = {crypto, issuer_spki_sha256, serial, false};
  struct block block;
  bool known = false;
  bool revoked = false;
  if (!normalise(&asked.serial)) {
    return KS_STATUS_NOT_COVERED;
  }
  for (size_t index = 0; index < filter->count; index += 1u) {
    if (find_block(filter->files[index], issuer_spki_sha256, &block)) {
      known = true;
      revoked = revoked != (is_listed(&block, &asked) != block.inverted);
    }
  }
  if (asked.failed) {
    return KS_STATUS_FAILED;
  }
  if (!known) {
    return KS_STATUS_NOT_COVERED;
  }
  return revoked ? KS_STATUS_REVOKED : KS_STATUS_GOOD;
}
