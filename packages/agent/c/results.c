#include "keystead.h"

/* What results are called, for programs and for people. */

#define KS_RESULT_CODE(name, code, sentence) code,
#define KS_RESULT_TEXT(name, code, sentence) sentence,

static const char *const codes[KS_RESULT_COUNT] = {KS_RESULTS(KS_RESULT_CODE)};
static const char *const texts[KS_RESULT_COUNT] = {KS_RESULTS(KS_RESULT_TEXT)};

static size_t index_of(enum ks_result result) {
  const size_t index = (size_t)result;
  return (index < (size_t)KS_RESULT_COUNT) ? index : (size_t)KS_CRYPTO_FAILED;
}

const char *ks_code(enum ks_result result) {
  return codes[index_of(result)];
}

const char *ks_text(enum ks_result result) {
  return texts[index_of(result)];
}
