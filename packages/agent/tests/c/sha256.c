#include "sha256.h"

#include <string.h>

#define BLOCK 64u

/* FIPS 180-4 section 4.2.2. */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

struct state {
  uint32_t h[8];
  uint8_t block[BLOCK];
  uint64_t length;
};

static uint32_t turn(uint32_t word, unsigned by) {
  return (word >> by) | (word << (32u - by));
}

static void compress(struct state *state) {
  uint32_t w[64];
  uint32_t v[8];
  for (size_t t = 0; t < 16; t += 1) {
    const uint8_t *const at = &state->block[4 * t];
    w[t] = ((uint32_t)at[0] << 24) | ((uint32_t)at[1] << 16) | ((uint32_t)at[2] << 8) | at[3];
  }
  for (size_t t = 16; t < 64; t += 1) {
    const uint32_t s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const uint32_t s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  memcpy(v, state->h, sizeof(v));
  for (size_t t = 0; t < 64; t += 1) {
    const uint32_t s1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25);
    const uint32_t one = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[t] + w[t];
    const uint32_t s0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22);
    const uint32_t two = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(&v[1], &v[0], 7 * sizeof(v[0]));
    v[4] += one;
    v[0] = one + two;
  }
  for (size_t i = 0; i < 8; i += 1) {
    state->h[i] += v[i];
  }
}

static void begin(struct state *state) {
  static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(state->h, first, sizeof(first));
  state->length = 0;
}

static void add(struct state *state, const uint8_t *at, size_t length) {
  for (size_t index = 0; index < length; index += 1) {
    state->block[state->length % BLOCK] = at[index];
    state->length += 1;
    if (state->length % BLOCK == 0) {
      compress(state);
    }
  }
}

static void end(struct state *state, uint8_t digest[KS_SHA256_BYTES]) {
  static const uint8_t one = 0x80;
  static const uint8_t zero = 0;
  const uint64_t bits = state->length * 8;
  uint8_t length[8];
  add(state, &one, 1);
  while (state->length % BLOCK != 56) {
    add(state, &zero, 1);
  }
  for (size_t i = 0; i < 8; i += 1) {
    length[i] = (uint8_t)(bits >> (56 - 8 * i));
  }
  add(state, length, sizeof(length));
  for (size_t i = 0; i < KS_SHA256_BYTES; i += 1) {
    digest[i] = (uint8_t)(state->h[i / 4] >> (24 - 8 * (i % 4)));
  }
}

static bool sha256(void *context, const struct ks_bytes *parts, size_t count, uint8_t digest[KS_SHA256_BYTES]) {
  struct state state;
  (void)context;
  begin(&state);
  for (size_t index = 0; index < count; index += 1) {
    add(&state, parts[index].at, parts[index].length);
  }
  end(&state, digest);
  return true;
}

/* RFC 2104. */
static bool hmac_sha256(void *context, struct ks_bytes key, const struct ks_bytes *parts, size_t count,
                        uint8_t mac[KS_SHA256_BYTES]) {
  uint8_t pad[BLOCK] = {0};
  uint8_t inner[KS_SHA256_BYTES];
  struct state state;
  if (key.length > BLOCK) {
    (void)sha256(context, &key, 1, pad);
  } else if (key.length > 0) {
    memcpy(pad, key.at, key.length);
  }
  for (size_t index = 0; index < BLOCK; index += 1) {
    pad[index] ^= 0x36;
  }
  begin(&state);
  add(&state, pad, BLOCK);
  for (size_t index = 0; index < count; index += 1) {
    add(&state, parts[index].at, parts[index].length);
  }
  end(&state, inner);
  for (size_t index = 0; index < BLOCK; index += 1) {
    pad[index] ^= 0x36 ^ 0x5c;
  }
  begin(&state);
  add(&state, pad, BLOCK);
  add(&state, inner, sizeof(inner));
  end(&state, mac);
  return true;
}

const struct ks_crypto ks_test_hashes = {NULL, sha256, hmac_sha256, NULL, NULL, NULL};
