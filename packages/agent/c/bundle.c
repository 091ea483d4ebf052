#include "cbor.h"
#include "spans.h"

/* The bytes of a trust bundle: docs/trust-bundle.md has them one by one. */

#define FILE_MOST (130u * 1024u)
#define CONTENT_MOST (128u * 1024u)
#define CERTIFICATE_MOST 4096u
#define SPKI_MOST 1024u
#define FIRMWARE_SIGNERS_MOST 8u

static const char content_type[] = "application/vnd.keystead.trust-bundle+cbor";

/* ---- the rows ---- */

static struct ks_anchor read_anchor(struct ks_cbor *reader) {
  struct ks_anchor anchor;
  ks_cbor_expect(reader, KS_CBOR_ARRAY, 4);
  anchor.role = (enum ks_anchor_role)ks_cbor_number(reader, 0, KS_ANCHOR_FIRMWARE);
  anchor.certificate = ks_cbor_string(reader, KS_CBOR_BYTES, 1, CERTIFICATE_MOST);
  anchor.from = ks_cbor_time(reader);
  anchor.until = ks_cbor_time(reader);
  return anchor;
}

static struct ks_pin read_pin(struct ks_cbor *reader) {
  struct ks_pin pin;
  ks_cbor_expect(reader, KS_CBOR_ARRAY, 4);
  pin.spki_sha256 = ks_cbor_hash(reader);
  pin.use = (enum ks_pin_use)ks_cbor_number(reader, 0, KS_PIN_BACKUP);
  pin.from = ks_cbor_time(reader);
  pin.until = ks_cbor_time(reader);
  return pin;
}

static struct ks_signer read_signer(struct ks_cbor *reader) {
  struct ks_signer signer;
  ks_cbor_expect(reader, KS_CBOR_ARRAY, 3);
  signer.spki = ks_cbor_string(reader, KS_CBOR_BYTES, 1, SPKI_MOST);
  signer.from = ks_cbor_time(reader);
  signer.until = ks_cbor_time(reader);
  return signer;
}

/* The head of an array of at most `most` rows. */
static struct ks_rows open_rows(struct ks_cbor *reader, size_t most) {
  const uint64_t count = ks_cbor_head(reader, KS_CBOR_ARRAY);
  struct ks_rows rows = {reader->at, reader->left, (size_t)count};
  if (count > most) {
    reader->sound = false;
    rows.left = 0;
  }
  return rows;
}

/* Its end, when its rows have been read. */
static void close_rows(struct ks_rows *rows, const struct ks_cbor *reader) {
  rows->length -= reader->left;
}

static struct ks_pinned_name read_pinned_name(struct ks_cbor *reader) {
  struct ks_pinned_name name;
  ks_cbor_expect(reader, KS_CBOR_ARRAY, 2);
  name.name = ks_cbor_name(reader);
  name.keys = open_rows(reader, KS_MOST_PINS);
  for (size_t row = 0; (row < name.keys.left) && reader->sound; row += 1u) {
    (void)read_pin(reader);
  }
  close_rows(&name.keys, reader);
  return name;
}

static struct ks_firmware read_firmware(struct ks_cbor *reader) {
  struct ks_firmware firmware;
  ks_cbor_expect(reader, KS_CBOR_ARRAY, 3);
  firmware.product = ks_cbor_name(reader);
  firmware.signers = open_rows(reader, FIRMWARE_SIGNERS_MOST);
  if (firmware.signers.left == 0u) {
    reader->sound = false;
  }
  for (size_t row = 0; (row < firmware.signers.left) && reader->sound; row += 1u) {
    (void)ks_cbor_hash(reader);
  }
  close_rows(&firmware.signers, reader);
  firmware.least_counter = (uint32_t)ks_cbor_number(reader, 0, UINT32_MAX);
  return firmware;
}

/* ---- one row after the other ---- */

static struct ks_cbor reader_of(const struct ks_rows *rows) {
  return ks_cbor_of(ks_span(rows->at, rows->length));
}

/* Whether a row was there. What was read once reads the same again; if not, the bytes have changed, and it is the end. */
static bool passed(struct ks_rows *rows, const struct ks_cbor *reader) {
  rows->at = reader->at;
  rows->length = reader->left;
  rows->left = reader->sound ? (rows->left - 1u) : 0u;
  return reader->sound;
}

bool ks_anchor_next(struct ks_rows *rows, struct ks_anchor *anchor) {
  struct ks_cbor reader = reader_of(rows);
  if (rows->left == 0u) {
    return false;
  }
  *anchor = read_anchor(&reader);
  return passed(rows, &reader);
}

bool ks_pinned_name_next(struct ks_rows *rows, struct ks_pinned_name *name) {
  struct ks_cbor reader = reader_of(rows);
  if (rows->left == 0u) {
    return false;
  }
  *name = read_pinned_name(&reader);
  return passed(rows, &reader);
}

bool ks_pin_next(struct ks_rows *rows, struct ks_pin *pin) {
  struct ks_cbor reader = reader_of(rows);
  if (rows->left == 0u) {
    return false;
  }
  *pin = read_pin(&reader);
  return passed(rows, &reader);
}

bool ks_signer_next(struct ks_rows *rows, struct ks_signer *signer) {
  struct ks_cbor reader = reader_of(rows);
  if (rows->left == 0u) {
    return false;
  }
  *signer = read_signer(&reader);
  return passed(rows, &reader);
}

bool ks_firmware_next(struct ks_rows *rows, struct ks_firmware *firmware) {
  struct ks_cbor reader = reader_of(rows);
  if (rows->left == 0u) {
    return false;
  }
  *firmware = read_firmware(&reader);
  return passed(rows, &reader);
}

bool ks_hash_next(struct ks_rows *rows, const uint8_t **sha256) {
  struct ks_cbor reader = reader_of(rows);
  if (rows->left == 0u) {
    return false;
  }
  *sha256 = ks_cbor_hash(&reader);
  return passed(rows, &reader);
}

/* ---- the whole ---- */

/* alg, content type and kid, and nothing else. */
static bool read_header(struct ks_bytes header, struct ks_bundle *bundle) {
  struct ks_cbor reader = ks_cbor_of(header);
  const struct ks_bytes expected = ks_span((const uint8_t *)content_type, sizeof(content_type) - 1u);
  ks_cbor_expect(&reader, KS_CBOR_MAP, 3);
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 1);
  /* CBOR has -1 less the number. */
  const uint64_t algorithm = ks_cbor_head(&reader, KS_CBOR_NEGATIVE);
  switch (algorithm) {
    case 6u:
      bundle->algorithm = KS_ES256;
      break;
    case 34u:
      bundle->algorithm = KS_ES384;
      break;
    case 18u:
      bundle->algorithm = KS_ED25519;
      break;
    default:
      return false;
  }
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 3);
  const struct ks_bytes type = ks_cbor_string(&reader, KS_CBOR_TEXT, expected.length, expected.length);
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 4);
  bundle->signer_sha256 = ks_cbor_hash(&reader);
  return ks_cbor_ended(&reader) && ks_same(type, expected);
}

static bool read_content(struct ks_bytes content, struct ks_bundle *bundle) {
  struct ks_cbor reader = ks_cbor_of(content);
  ks_cbor_expect(&reader, KS_CBOR_MAP, 10);
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 1);
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 1);
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 2);
  bundle->fleet = ks_cbor_name(&reader);
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 3);
  bundle->version = (uint32_t)ks_cbor_number(&reader, 1, UINT32_MAX);
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 4);
  bundle->issued_at = ks_cbor_time(&reader);
  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 5);
  bundle->expires = ks_cbor_time(&reader);

  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 6);
  bundle->anchors = open_rows(&reader, KS_MOST_ANCHORS);
  for (size_t row = 0; (row < bundle->anchors.left) && reader.sound; row += 1u) {
    (void)read_anchor(&reader);
  }
  close_rows(&bundle->anchors, &reader);

  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 7);
  bundle->pins = open_rows(&reader, KS_MOST_PINNED_NAMES);
  for (size_t row = 0; (row < bundle->pins.left) && reader.sound; row += 1u) {
    (void)read_pinned_name(&reader);
  }
  close_rows(&bundle->pins, &reader);

  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 8);
  bundle->signers = open_rows(&reader, KS_MOST_SIGNERS);
  for (size_t row = 0; (row < bundle->signers.left) && reader.sound; row += 1u) {
    (void)read_signer(&reader);
  }
  close_rows(&bundle->signers, &reader);

  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 9);
  bundle->firmware = open_rows(&reader, KS_MOST_PRODUCTS);
  for (size_t row = 0; (row < bundle->firmware.left) && reader.sound; row += 1u) {
    (void)read_firmware(&reader);
  }
  close_rows(&bundle->firmware, &reader);

  ks_cbor_expect(&reader, KS_CBOR_UNSIGNED, 10);
  bundle->filter_sha256 = ks_cbor_null(&reader) ? NULL : ks_cbor_hash(&reader);
  return ks_cbor_ended(&reader);
}

/* A byte string, and how it stands there with its head. */
static struct ks_bytes read_part(struct ks_cbor *reader, size_t most, struct ks_bytes *with_head) {
  const uint8_t *const from = reader->at;
  const struct ks_bytes part = ks_cbor_string(reader, KS_CBOR_BYTES, 0, most);
  *with_head = ks_span(from, (size_t)(reader->at - from));
  return part;
}

enum ks_result ks_bundle_parse(struct ks_bytes file, struct ks_bundle *bundle) {
  struct ks_cbor reader = ks_cbor_of(file);
  struct ks_bytes signature_with_head;
  (void)memset(bundle, 0, sizeof(*bundle));
  if (file.length > FILE_MOST) {
    return KS_MALFORMED;
  }
  ks_cbor_expect(&reader, KS_CBOR_ARRAY, 4);
  const struct ks_bytes header = read_part(&reader, FILE_MOST, &bundle->header);
  ks_cbor_expect(&reader, KS_CBOR_MAP, 0);
  const struct ks_bytes content = read_part(&reader, CONTENT_MOST, &bundle->payload);
  bundle->signature = read_part(&reader, FILE_MOST, &signature_with_head);
  const bool whole = ks_cbor_ended(&reader) && read_header(header, bundle) && read_content(content, bundle);
  if (!whole) {
    (void)memset(bundle, 0, sizeof(*bundle));
    return KS_MALFORMED;
  }
  return KS_OK;
}
