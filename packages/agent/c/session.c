#include "spans.h"

/* Keys for one purpose each, by HKDF-SHA-256 (RFC 5869). */

#define MASTER_LEAST 32u
#define CONTEXT_MOST 512u
#define PURPOSE_MOST 64u
#define BLOCKS_MOST 255u
#define INFO_PARTS 6u

void ks_wipe(void *secret, size_t length) {
  volatile uint8_t *const at = (volatile uint8_t *)secret;
  for (size_t index = 0; index < length; index += 1u) {
    at[index] = 0;
  }
}

static bool is_purpose(struct ks_bytes purpose) {
  if ((purpose.length == 0u) || (purpose.length > PURPOSE_MOST)) {
    return false;
  }
  for (size_t index = 0; index < purpose.length; index += 1u) {
    const uint8_t letter = purpose.at[index];
    const bool plain = ((letter >= (uint8_t)'a') && (letter <= (uint8_t)'z')) ||
                       ((letter >= (uint8_t)'0') && (letter <= (uint8_t)'9'));
    const bool mark = (letter == (uint8_t)' ') || (letter == (uint8_t)'.') || (letter == (uint8_t)'-');
    if (!plain && !((index > 0u) && mark)) {
      return false;
    }
  }
  return true;
}

static void write_big_endian(uint8_t *digits, size_t width, uint32_t number) {
  for (size_t index = 0; index < width; index += 1u) {
    digits[index] = (uint8_t)(number >> (8u * (width - 1u - index)));
  }
}

/*
 * Expands: T(n) = HMAC(PRK, T(n-1) | info | n). The info is 'keystead purpose 1', 0, context and purpose each with
 * its length in two bytes before it, and the key's length in bits in four.
 */
static bool expand(const struct ks_crypto *crypto, struct ks_bytes prk, struct ks_bytes context,
                   struct ks_bytes purpose, uint8_t *key, size_t length) {
  static const uint8_t label[] = {'k', 'e', 'y', 's', 't', 'e', 'a', 'd', ' ', 'p',
                                  'u', 'r', 'p', 'o', 's', 'e', ' ', '1', 0};
  uint8_t begin[sizeof(label) + 2u];
  uint8_t between[2];
  uint8_t end[5];
  uint8_t block[KS_SHA256_BYTES];
  bool done = true;
  size_t written = 0;
  (void)memcpy(begin, label, sizeof(label));
  write_big_endian(&begin[sizeof(label)], 2, (uint32_t)context.length);
  write_big_endian(between, 2, (uint32_t)purpose.length);
  write_big_endian(end, 4, (uint32_t)length * 8u);
  for (uint8_t number = 1; done && (written < length); number += 1u) {
    const struct ks_bytes parts[INFO_PARTS] = {
        {block, (number == 1u) ? 0u : sizeof(block)}, {begin, sizeof(begin)}, context, {between, sizeof(between)}, purpose,
        {end, sizeof(end)}};
    uint8_t next[KS_SHA256_BYTES];
    end[4] = number;
    done = crypto->hmac_sha256(crypto->context, prk, parts, INFO_PARTS, next);
    if (done) {
      const size_t rest = length - written;
      const size_t part = (rest < sizeof(next)) ? rest : sizeof(next);
      (void)memcpy(block, next, sizeof(next));
      (void)memcpy(&key[written], next, part);
      written += part;
    }
    ks_wipe(next, sizeof(next));
  }
  ks_wipe(block, sizeof(block));
  return done;
}

enum ks_result ks_purpose_key(const struct ks_crypto *crypto, struct ks_bytes master, struct ks_bytes salt,
                              struct ks_bytes context, struct ks_bytes purpose, uint8_t *key, size_t length) {
  uint8_t prk[KS_SHA256_BYTES];
  const bool in_bounds = (master.length >= MASTER_LEAST) && (context.length <= CONTEXT_MOST) && is_purpose(purpose) &&
                         (length >= 1u) && (length <= (BLOCKS_MOST * KS_SHA256_BYTES));
  if (!in_bounds) {
    ks_wipe(key, length);
    return KS_KDF_INPUT;
  }
  const bool done = crypto->hmac_sha256(crypto->context, salt, &master, 1, prk) &&
                    expand(crypto, ks_span(prk, sizeof(prk)), context, purpose, key, length);
  ks_wipe(prk, sizeof(prk));
  if (!done) {
    ks_wipe(key, length);
    return KS_CRYPTO_FAILED;
  }
  return KS_OK;
}

/* 'tls session of ' and the device id. */
static bool context_of(struct ks_bytes device_id, uint8_t context[CONTEXT_MOST], size_t *length) {
  static const uint8_t begin[] = {'t', 'l', 's', ' ', 's', 'e', 's', 's', 'i', 'o', 'n', ' ', 'o', 'f', ' '};
  if (device_id.length > (CONTEXT_MOST - sizeof(begin))) {
    return false;
  }
  (void)memcpy(context, begin, sizeof(begin));
  if (device_id.length != 0u) {
    (void)memcpy(&context[sizeof(begin)], device_id.at, device_id.length);
  }
  *length = sizeof(begin) + device_id.length;
  return true;
}

enum ks_result ks_session_keys(const struct ks_crypto *crypto, struct ks_bytes exported, struct ks_bytes device_id,
                               const uint8_t device_salt[KS_SALT_BYTES], const uint8_t service_salt[KS_SALT_BYTES],
                               struct ks_session_keys *keys) {
  static const uint8_t client[] = {'s', 'e', 's', 's', 'i', 'o', 'n', ' ', 'c', 'l', 'i',
                                   'e', 'n', 't', ' ', 'w', 'r', 'i', 't', 'e'};
  static const uint8_t server[] = {'s', 'e', 's', 's', 'i', 'o', 'n', ' ', 's', 'e', 'r',
                                   'v', 'e', 'r', ' ', 'w', 'r', 'i', 't', 'e'};
  uint8_t context[CONTEXT_MOST];
  uint8_t salts[2u * KS_SALT_BYTES];
  size_t length = 0;
  enum ks_result result = context_of(device_id, context, &length) ? KS_OK : KS_KDF_INPUT;
  (void)memcpy(salts, device_salt, KS_SALT_BYTES);
  (void)memcpy(&salts[KS_SALT_BYTES], service_salt, KS_SALT_BYTES);
  if (result == KS_OK) {
    result = ks_purpose_key(crypto, exported, ks_span(salts, sizeof(salts)), ks_span(context, length),
                            ks_span(client, sizeof(client)), keys->client_write, KS_SESSION_KEY_BYTES);
  }
  if (result == KS_OK) {
    result = ks_purpose_key(crypto, exported, ks_span(salts, sizeof(salts)), ks_span(context, length),
                            ks_span(server, sizeof(server)), keys->server_write, KS_SESSION_KEY_BYTES);
  }
  if (result != KS_OK) {
    ks_wipe(keys, sizeof(*keys));
  }
  return result;
}
