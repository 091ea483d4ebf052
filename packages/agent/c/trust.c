#include "spans.h"

/* Whether a device takes a bundle, by what it knows already. */

#define SIGNED_PARTS 4u

/* Sig_structure (RFC 9052 section 4.4), piece by piece: ["Signature1", the header, no external data, the content]. */
static void signed_parts(const struct ks_bundle *bundle, struct ks_bytes parts[SIGNED_PARTS]) {
  static const uint8_t context[] = {0x84, 0x6a, 'S', 'i', 'g', 'n', 'a', 't', 'u', 'r', 'e', '1'};
  static const uint8_t no_external_data[] = {0x40};
  parts[0] = ks_span(context, sizeof(context));
  parts[1] = bundle->header;
  parts[2] = ks_span(no_external_data, sizeof(no_external_data));
  parts[3] = bundle->payload;
}

static size_t signature_length(enum ks_algorithm algorithm) {
  return (algorithm == KS_ES384) ? 96u : 64u;
}

/* The signer that a bundle names, among those that the state has. */
static enum ks_result find_signer(const struct ks_crypto *crypto, const struct ks_bundle *bundle,
                                  const struct ks_trust_state *known, const struct ks_signer **found) {
  uint8_t hash[KS_SHA256_BYTES];
  for (size_t index = 0; (index < known->signer_count) && (index < KS_MOST_SIGNERS); index += 1u) {
    if (!crypto->sha256(crypto->context, &known->signers[index].spki, 1, hash)) {
      return KS_CRYPTO_FAILED;
    }
    if (ks_same_hash(hash, bundle->signer_sha256)) {
      *found = &known->signers[index];
      return KS_OK;
    }
  }
  return KS_SIGNER_UNKNOWN;
}

static enum ks_result require_signer(const struct ks_crypto *crypto, const struct ks_bundle *bundle,
                                     const struct ks_trust_state *known, int64_t now) {
  const struct ks_signer *signer = NULL;
  struct ks_bytes parts[SIGNED_PARTS];
  const enum ks_result result = find_signer(crypto, bundle, known, &signer);
  if (result != KS_OK) {
    return result;
  }
  signed_parts(bundle, parts);
  if (bundle->signature.length != signature_length(bundle->algorithm)) {
    return KS_SIGNATURE_INVALID;
  }
  if (!crypto->verify(crypto->context, bundle->algorithm, signer->spki, parts, SIGNED_PARTS, bundle->signature)) {
    return KS_SIGNATURE_INVALID;
  }
  /* By now as well: a key whose time is over could say that it signed in time. */
  const bool in_time = ks_in_window(signer->from, signer->until, bundle->issued_at) && (now < signer->until);
  return in_time ? KS_OK : KS_SIGNER_RETIRED;
}

/* No product may be left out, and none may fall back. */
static enum ks_result require_firmware(const struct ks_bundle *bundle, const struct ks_trust_state *known) {
  for (size_t index = 0; (index < known->firmware_count) && (index < KS_MOST_PRODUCTS); index += 1u) {
    const struct ks_least_firmware *const before = &known->firmware[index];
    struct ks_rows rows = bundle->firmware;
    struct ks_firmware firmware;
    bool kept = false;
    while (ks_firmware_next(&rows, &firmware)) {
      if (ks_same(firmware.product, before->product)) {
        kept = firmware.least_counter >= before->least_counter;
      }
    }
    if (!kept) {
      return KS_FIRMWARE_ROLLED_BACK;
    }
  }
  return KS_OK;
}

/* `known` may be the state that is written: nothing is written before everything was looked at. */
static void state_of(const struct ks_bundle *bundle, const uint8_t hash[KS_SHA256_BYTES],
                     struct ks_trust_state *state) {
  struct ks_rows signers = bundle->signers;
  struct ks_rows products = bundle->firmware;
  struct ks_firmware firmware;
  state->fleet = bundle->fleet;
  state->version = bundle->version;
  (void)memcpy(state->sha256, hash, KS_SHA256_BYTES);
  state->signer_count = 0;
  while ((state->signer_count < KS_MOST_SIGNERS) && ks_signer_next(&signers, &state->signers[state->signer_count])) {
    state->signer_count += 1u;
  }
  state->firmware_count = 0;
  while ((state->firmware_count < KS_MOST_PRODUCTS) && ks_firmware_next(&products, &firmware)) {
    state->firmware[state->firmware_count].product = firmware.product;
    state->firmware[state->firmware_count].least_counter = firmware.least_counter;
    state->firmware_count += 1u;
  }
}

static bool hash_of(const struct ks_crypto *crypto, const struct ks_bundle *bundle, uint8_t hash[KS_SHA256_BYTES]) {
  struct ks_bytes parts[SIGNED_PARTS];
  signed_parts(bundle, parts);
  return crypto->sha256(crypto->context, parts, SIGNED_PARTS, hash);
}

static enum ks_result judge(const struct ks_crypto *crypto, struct ks_bytes file, const struct ks_trust_state *known,
                            int64_t now, struct ks_taken *taken) {
  struct ks_bundle *const bundle = &taken->bundle;
  uint8_t hash[KS_SHA256_BYTES];
  enum ks_result result = ks_bundle_parse(file, bundle);
  if (result == KS_OK) {
    result = require_signer(crypto, bundle, known, now);
  }
  if (result != KS_OK) {
    return result;
  }
  if (!hash_of(crypto, bundle, hash)) {
    return KS_CRYPTO_FAILED;
  }
  if (!ks_same(bundle->fleet, known->fleet)) {
    return KS_FLEET_DIFFERS;
  }
  if (bundle->version < known->version) {
    return KS_ROLLED_BACK;
  }
  taken->repeated = bundle->version == known->version;
  if (taken->repeated && !ks_same_hash(hash, known->sha256)) {
    return KS_FORKED;
  }
  if (bundle->issued_at > (now + KS_CLOCK_SKEW_SECONDS)) {
    return KS_BUNDLE_NOT_YET_VALID;
  }
  result = ks_bundle_check(crypto, bundle);
  if (result == KS_OK) {
    result = require_firmware(bundle, known);
  }
  if (result == KS_OK) {
    state_of(bundle, hash, &taken->state);
  }
  return result;
}

enum ks_result ks_trust_take(const struct ks_crypto *crypto, const struct ks_bytes *files, size_t count,
                             const struct ks_trust_state *known, int64_t now, struct ks_taken *taken) {
  enum ks_result result = ks_clock_is_set(now) ? KS_OK : KS_CLOCK_INVALID;
  const struct ks_trust_state *before = known;
  (void)memset(taken, 0, sizeof(*taken));
  if ((result == KS_OK) && (count == 0u)) {
    result = KS_BUNDLE_EXPIRED;
  }
  for (size_t index = 0; (index < count) && (result == KS_OK); index += 1u) {
    result = judge(crypto, files[index], before, now, taken);
    before = &taken->state;
  }
  if (result == KS_OK) {
    result = ks_trust_current(&taken->bundle, now);
  }
  if (result != KS_OK) {
    (void)memset(taken, 0, sizeof(*taken));
  }
  return result;
}

enum ks_result ks_trust_restore(const struct ks_crypto *crypto, struct ks_bytes file, struct ks_taken *taken) {
  uint8_t hash[KS_SHA256_BYTES];
  (void)memset(taken, 0, sizeof(*taken));
  const enum ks_result result = ks_bundle_parse(file, &taken->bundle);
  if (result != KS_OK) {
    return result;
  }
  if (!hash_of(crypto, &taken->bundle, hash)) {
    (void)memset(taken, 0, sizeof(*taken));
    return KS_CRYPTO_FAILED;
  }
  taken->repeated = true;
  state_of(&taken->bundle, hash, &taken->state);
  return KS_OK;
}

enum ks_result ks_trust_current(const struct ks_bundle *bundle, int64_t now) {
  if (!ks_clock_is_set(now)) {
    return KS_CLOCK_INVALID;
  }
  return (now < bundle->expires) ? KS_OK : KS_BUNDLE_EXPIRED;
}
