#include "spans.h"

/* The rules that hold inside one bundle: what breaks one would leave devices without a way on. */

bool ks_in_window(int64_t from, int64_t until, int64_t now) {
  return (from <= now) && (now < until);
}

static enum ks_result check_anchors(const struct ks_crypto *crypto, struct ks_rows rows) {
  struct {
    enum ks_anchor_role role;
    uint8_t spki_sha256[KS_SHA256_BYTES];
  } seen[KS_MOST_ANCHORS];
  struct ks_anchor anchor;
  struct ks_ca ca;
  size_t count = 0;
  bool twice = false;
  while ((count < KS_MOST_ANCHORS) && ks_anchor_next(&rows, &anchor)) {
    if (anchor.from >= anchor.until) {
      return KS_RULE_WINDOW;
    }
    if (!crypto->read_ca(crypto->context, anchor.certificate, &ca)) {
      return KS_CERTIFICATE_REFUSED;
    }
    if (!ca.is_ca) {
      return KS_RULE_ANCHOR_NO_CA;
    }
    if (anchor.until > ca.not_after) {
      return KS_RULE_ANCHOR_OUTLIVES;
    }
    for (size_t index = 0; index < count; index += 1u) {
      twice = twice || ((seen[index].role == anchor.role) && ks_same_hash(seen[index].spki_sha256, ca.spki_sha256));
    }
    seen[count].role = anchor.role;
    (void)memcpy(seen[count].spki_sha256, ca.spki_sha256, KS_SHA256_BYTES);
    count += 1u;
  }
  return twice ? KS_RULE_TWICE : KS_OK;
}

/* There is one that is good now, and at all times one in the safe: a key that is lost must not cut devices off. */
static enum ks_result check_pins(struct ks_rows keys, int64_t now) {
  const uint8_t *seen[KS_MOST_PINS];
  struct ks_pin pin;
  size_t count = 0;
  bool twice = false;
  bool current = false;
  int64_t last = 0;
  int64_t safe_until = -1;
  while ((count < KS_MOST_PINS) && ks_pin_next(&keys, &pin)) {
    const bool good = ks_in_window(pin.from, pin.until, now);
    if (pin.from >= pin.until) {
      return KS_RULE_WINDOW;
    }
    for (size_t index = 0; index < count; index += 1u) {
      twice = twice || ks_same_hash(seen[index], pin.spki_sha256);
    }
    seen[count] = pin.spki_sha256;
    count += 1u;
    current = current || (good && (pin.use == KS_PIN_CURRENT));
    if ((pin.use != KS_PIN_BACKUP) && (pin.until > last)) {
      last = pin.until;
    }
    if ((pin.use == KS_PIN_BACKUP) && good && (pin.until > safe_until)) {
      safe_until = pin.until;
    }
  }
  if (twice) {
    return KS_RULE_TWICE;
  }
  if (!current) {
    return KS_RULE_NO_CURRENT_PIN;
  }
  return (safe_until >= last) ? KS_OK : KS_RULE_NO_BACKUP_PIN;
}

static enum ks_result check_pinned_names(struct ks_rows rows, int64_t now) {
  struct ks_bytes seen[KS_MOST_PINNED_NAMES];
  struct ks_rows again = rows;
  struct ks_pinned_name name;
  size_t count = 0;
  while ((count < KS_MOST_PINNED_NAMES) && ks_pinned_name_next(&rows, &name)) {
    for (size_t index = 0; index < count; index += 1u) {
      if (ks_same(seen[index], name.name)) {
        return KS_RULE_TWICE;
      }
    }
    seen[count] = name.name;
    count += 1u;
  }
  while (ks_pinned_name_next(&again, &name)) {
    const enum ks_result result = check_pins(name.keys, now);
    if (result != KS_OK) {
      return result;
    }
  }
  return KS_OK;
}

/* One of them outlives the bundle: else nobody could sign the next. */
static enum ks_result check_signers(const struct ks_crypto *crypto, struct ks_rows rows, int64_t expires) {
  struct ks_bytes seen[KS_MOST_SIGNERS];
  struct ks_signer signer;
  size_t count = 0;
  bool twice = false;
  bool outlives = false;
  while ((count < KS_MOST_SIGNERS) && ks_signer_next(&rows, &signer)) {
    if (signer.from >= signer.until) {
      return KS_RULE_WINDOW;
    }
    if (!crypto->check_key(crypto->context, signer.spki)) {
      return KS_KEY_REFUSED;
    }
    for (size_t index = 0; index < count; index += 1u) {
      twice = twice || ks_same(seen[index], signer.spki);
    }
    seen[count] = signer.spki;
    count += 1u;
    outlives = outlives || ks_in_window(signer.from, signer.until, expires);
  }
  if (twice) {
    return KS_RULE_TWICE;
  }
  return outlives ? KS_OK : KS_RULE_NO_NEXT_SIGNER;
}

static enum ks_result check_firmware(struct ks_rows rows) {
  struct ks_bytes seen[KS_MOST_PRODUCTS];
  struct ks_firmware firmware;
  size_t count = 0;
  while ((count < KS_MOST_PRODUCTS) && ks_firmware_next(&rows, &firmware)) {
    for (size_t index = 0; index < count; index += 1u) {
      if (ks_same(seen[index], firmware.product)) {
        return KS_RULE_TWICE;
      }
    }
    seen[count] = firmware.product;
    count += 1u;
  }
  return KS_OK;
}

enum ks_result ks_bundle_check(const struct ks_crypto *crypto, const struct ks_bundle *bundle) {
  if (bundle->issued_at >= bundle->expires) {
    return KS_RULE_EXPIRES;
  }
  enum ks_result result = check_anchors(crypto, bundle->anchors);
  if (result == KS_OK) {
    result = check_pinned_names(bundle->pins, bundle->issued_at);
  }
  if (result == KS_OK) {
    result = check_signers(crypto, bundle->signers, bundle->expires);
  }
  if (result == KS_OK) {
    result = check_firmware(bundle->firmware);
  }
  return result;
}

enum ks_result ks_pin_check(const struct ks_bundle *bundle, struct ks_bytes name,
                            const uint8_t spki_sha256[KS_SHA256_BYTES], int64_t now) {
  struct ks_rows rows = bundle->pins;
  struct ks_pinned_name pinned;
  struct ks_pin pin;
  const enum ks_result current = ks_trust_current(bundle, now);
  if (current != KS_OK) {
    return current;
  }
  while (ks_pinned_name_next(&rows, &pinned)) {
    if (!ks_same(pinned.name, name)) {
      continue;
    }
    while (ks_pin_next(&pinned.keys, &pin)) {
      if (ks_same_hash(pin.spki_sha256, spki_sha256) && ks_in_window(pin.from, pin.until, now)) {
        return KS_OK;
      }
    }
    return KS_PIN_DIFFERS;
  }
  return KS_NAME_NOT_PINNED;
}
