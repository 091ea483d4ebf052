/*
 * Test code: judges cases that differential.ts wrote, and says of each on a line of its own what this library says of
 * it. Each input lies in a block of memory of just its length, so that the address sanitizer sees one byte read too many.
 *
 * usage: judge CASES
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../c/keystead.h"
#include "../../c/ports/mbedtls.h"

static FILE *cases;

static uint64_t number(size_t width) {
  uint64_t value = 0;
  for (size_t index = 0; index < width; index += 1) {
    const int byte = fgetc(cases);
    if (byte == EOF) {
      fprintf(stderr, "the cases are cut short\n");
      exit(2);
    }
    value = (value << 8) | (uint64_t)byte;
  }
  return value;
}

static struct ks_bytes bytes(void) {
  const size_t length = (size_t)number(4);
  uint8_t *const at = malloc(length == 0 ? 1 : length);
  if (at == NULL || fread(at, 1, length, cases) != length) {
    exit(2);
  }
  return (struct ks_bytes){at, length};
}

static void discard(struct ks_bytes one) {
  free((void *)one.at);
}

static void print_hex(const uint8_t *at, size_t length) {
  for (size_t index = 0; index < length; index += 1) {
    printf("%02x", at[index]);
  }
}

static void print_text(struct ks_bytes text) {
  printf("%.*s", (int)text.length, (const char *)text.at);
}

/* Length and last bytes: that the encoding is whole is not the question here. */
static void print_end(struct ks_bytes one) {
  printf("%zu.", one.length);
  print_hex(one.length > 4 ? one.at + one.length - 4 : one.at, one.length > 4 ? 4 : one.length);
}

static void print_window(int64_t from, int64_t until) {
  printf(" %" PRId64 " %" PRId64 ";", from, until);
}

static void print_content(const struct ks_bundle *bundle) {
  struct ks_rows rows = bundle->anchors;
  struct ks_anchor anchor;
  struct ks_pinned_name name;
  struct ks_pin pin;
  struct ks_signer signer;
  struct ks_firmware firmware;
  const uint8_t *hash;
  printf(" ");
  print_hex(bundle->signer_sha256, KS_SHA256_BYTES);
  printf(" %d ", (int)bundle->algorithm);
  print_text(bundle->fleet);
  printf(" %" PRIu32, bundle->version);
  print_window(bundle->issued_at, bundle->expires);
  while (ks_anchor_next(&rows, &anchor)) {
    printf(" a%d ", (int)anchor.role);
    print_end(anchor.certificate);
    print_window(anchor.from, anchor.until);
  }
  rows = bundle->pins;
  while (ks_pinned_name_next(&rows, &name)) {
    printf(" n");
    print_text(name.name);
    while (ks_pin_next(&name.keys, &pin)) {
      printf(" p%d ", (int)pin.use);
      print_hex(pin.spki_sha256, KS_SHA256_BYTES);
      print_window(pin.from, pin.until);
    }
  }
  rows = bundle->signers;
  while (ks_signer_next(&rows, &signer)) {
    printf(" s");
    print_end(signer.spki);
    print_window(signer.from, signer.until);
  }
  rows = bundle->firmware;
  while (ks_firmware_next(&rows, &firmware)) {
    printf(" f");
    print_text(firmware.product);
    while (ks_hash_next(&firmware.signers, &hash)) {
      printf(" ");
      print_hex(hash, KS_SHA256_BYTES);
    }
    printf(" %" PRIu32, firmware.least_counter);
  }
  printf(" x");
  if (bundle->filter_sha256 != NULL) {
    print_hex(bundle->filter_sha256, KS_SHA256_BYTES);
  }
}

static void judge_content(bool ruled) {
  const struct ks_bytes file = bytes();
  struct ks_bundle bundle;
  enum ks_result result = ks_bundle_parse(file, &bundle);
  printf("%s", ks_code(result));
  if (result == KS_OK) {
    print_content(&bundle);
    if (ruled) {
      printf(" %s", ks_code(ks_bundle_check(&ks_mbedtls, &bundle)));
    }
  }
  printf("\n");
  discard(file);
}

static void judge_take(void) {
  static struct ks_trust_state known;
  static struct ks_taken taken;
  struct ks_bytes owned[64];
  size_t count = 0;
  const int64_t now = (int64_t)number(8);
  memset(&known, 0, sizeof(known));
  known.fleet = owned[count++] = bytes();
  known.version = (uint32_t)number(4);
  for (size_t index = 0; index < KS_SHA256_BYTES; index += 1) {
    known.sha256[index] = (uint8_t)number(1);
  }
  known.signer_count = (size_t)number(1);
  for (size_t index = 0; index < known.signer_count; index += 1) {
    known.signers[index].spki = owned[count++] = bytes();
    known.signers[index].from = (int64_t)number(8);
    known.signers[index].until = (int64_t)number(8);
  }
  known.firmware_count = (size_t)number(1);
  for (size_t index = 0; index < known.firmware_count; index += 1) {
    known.firmware[index].product = owned[count++] = bytes();
    known.firmware[index].least_counter = (uint32_t)number(4);
  }
  const size_t files = (size_t)number(1);
  for (size_t index = 0; index < files; index += 1) {
    owned[count + index] = bytes();
  }
  const enum ks_result result = ks_trust_take(&ks_mbedtls, &owned[count], files, &known, now, &taken);
  printf("%s", ks_code(result));
  if (result == KS_OK) {
    printf(" %" PRIu32 " ", taken.state.version);
    print_hex(taken.state.sha256, KS_SHA256_BYTES);
    printf(" %zu %zu%s", taken.state.signer_count, taken.state.firmware_count, taken.repeated ? " again" : "");
    struct ks_taken restored;
    if (ks_trust_restore(&ks_mbedtls, owned[count + files - 1], &restored) != KS_OK ||
        memcmp(restored.state.sha256, taken.state.sha256, KS_SHA256_BYTES) != 0) {
      printf(" not restored");
    }
  }
  printf("\n");
  for (size_t index = 0; index < count + files; index += 1) {
    discard(owned[index]);
  }
}

static void judge_filter(void) {
  static const char said[] = {'-', '0', '1', '!'};
  struct ks_bytes files[8];
  struct ks_filter filter;
  const size_t count = (size_t)number(1);
  for (size_t index = 0; index < count; index += 1) {
    files[index] = bytes();
  }
  const struct ks_bytes named = bytes();
  const enum ks_result result = ks_filter_open(&ks_mbedtls, files, count, named.at, &filter);
  printf("%s ", ks_code(result));
  const size_t questions = (size_t)number(4);
  for (size_t index = 0; index < questions; index += 1) {
    const struct ks_bytes issuer = bytes();
    const struct ks_bytes serial = bytes();
    const int64_t not_before = (int64_t)number(8);
    const int64_t not_after = (int64_t)number(8);
    const int64_t now = (int64_t)number(8);
    if (result == KS_OK) {
      const struct ks_certificate certificate = {issuer.at, serial, not_before, not_after};
      const struct ks_peer_rules rules = {now, &filter, 0, false};
      putchar(said[ks_filter_says(&ks_mbedtls, &filter, issuer.at, serial)]);
      printf(".%s ", ks_code(ks_peer_check(&ks_mbedtls, &certificate, 1, &rules, NULL)));
    }
    discard(issuer);
    discard(serial);
  }
  printf("\n");
  discard(named);
  for (size_t index = 0; index < count; index += 1) {
    discard(files[index]);
  }
}

static void judge_purpose_key(void) {
  const struct ks_bytes master = bytes();
  const struct ks_bytes salt = bytes();
  const struct ks_bytes context = bytes();
  const struct ks_bytes purpose = bytes();
  const size_t length = (size_t)number(4);
  uint8_t *const key = malloc(length == 0 ? 1 : length);
  if (key == NULL) {
    exit(2);
  }
  const enum ks_result result = ks_purpose_key(&ks_mbedtls, master, salt, context, purpose, key, length);
  printf("%s ", ks_code(result));
  if (result == KS_OK) {
    print_hex(key, length);
  }
  printf("\n");
  free(key);
  discard(master);
  discard(salt);
  discard(context);
  discard(purpose);
}

int main(int argc, char **argv) {
  cases = (argc == 2) ? fopen(argv[1], "rb") : NULL;
  if (cases == NULL) {
    return 2;
  }
  for (int kind = fgetc(cases); kind != EOF; kind = fgetc(cases)) {
    if (kind == 1 || kind == 4) {
      judge_content(kind == 1);
    } else if (kind == 2) {
      judge_take();
    } else if (kind == 3) {
      judge_filter();
    } else if (kind == 5) {
      judge_purpose_key();
    } else {
      return 2;
    }
  }
  return fclose(cases);
}
