/*
 * A PKCS#11 module that hands everything to SoftHSM and goes wrong on demand. It stands in for what real tokens do and
 * SoftHSM cannot: be full, be slow, hang, lose their sessions, lock a PIN, make keys other than they were asked to, draw
 * bad random numbers, sign falsely.
 *
 * A file in FAULTS with the name of a call says how that call goes wrong, as words:
 *   hold         it does not return before the file is gone
 *   once         the file is removed when the call has read it
 *   rv=0x31      it returns that number and does nothing
 * The same name and `.after`: the call is carried out, and goes wrong then. The file `calls` there has the name of each call
 * that could go wrong, in order. And these, which are read where they belong:
 *   flags        rv=..: bits that are added to the flags of each token
 *   random       every random byte is the same
 *   extractable  CKA_EXTRACTABLE reads as true
 *   value        CKA_VALUE reads as empty
 *   endless      every search finds its first object again and again
 *   public       every session says that nobody is logged in
 *   signature    one bit of each signature is wrong; short: its end is missing
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pkcs11/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_FUNCTION_LIST real, faulty;

static int said(const char *what, char *words, size_t size) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", FAULTS, what);
  int file = open(path, O_RDONLY);
  if (file < 0) return 0;
  ssize_t length = read(file, words, size - 1);
  close(file);
  words[length < 0 ? 0 : length] = 0;
  if (strstr(words, "once")) unlink(path);
  while (strstr(words, "hold") && access(path, F_OK) == 0) usleep(1000);
  return 1;
}

static void note(const char *call) {
  char line[64];
  int length = snprintf(line, sizeof line, "%s\n", call);
  int file = open(FAULTS "/calls", O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (file < 0) return;
  if (write(file, line, length) != length) abort();
  close(file);
}

static CK_RV fault(const char *call) {
  char words[128];
  note(call);
  if (!said(call, words, sizeof words)) return CKR_OK;
  char *rv = strstr(words, "rv=");
  return rv ? strtoul(rv + 3, NULL, 16) : CKR_OK;
}

#define FAULTY(name, parameters, arguments)                                                                            \
  static CK_RV faulty_##name parameters {                                                                              \
    CK_RV rv = fault(#name);                                                                                           \
    if (rv == CKR_OK) rv = real.name arguments;                                                                        \
    return rv == CKR_OK ? fault(#name ".after") : rv;                                                                  \
  }

FAULTY(C_Initialize, (CK_VOID_PTR args), (args))
FAULTY(C_Finalize, (CK_VOID_PTR args), (args))
FAULTY(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR app, CK_NOTIFY notify, CK_SESSION_HANDLE *session),
       (slot, flags, app, notify, session))
FAULTY(C_Login, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length),
       (session, user, pin, length))
FAULTY(C_CreateObject, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *object),
       (session, attributes, count, object))
FAULTY(C_DestroyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object), (session, object))
FAULTY(C_FindObjectsFinal, (CK_SESSION_HANDLE session), (session))
FAULTY(C_SignInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), (session, mechanism, key))
FAULTY(C_GenerateKeyPair,
       (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_, CK_ULONG publics,
        CK_ATTRIBUTE *private_, CK_ULONG privates, CK_OBJECT_HANDLE *publicKey, CK_OBJECT_HANDLE *privateKey),
       (session, mechanism, public_, publics, private_, privates, publicKey, privateKey))

static CK_RV faulty_C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG most, CK_ULONG *count) {
  static CK_OBJECT_HANDLE first;
  char words[128];
  CK_RV rv = fault("C_FindObjects");
  if (rv == CKR_OK) rv = real.C_FindObjects(session, objects, most, count);
  if (rv != CKR_OK || !said("endless", words, sizeof words)) return rv;
  if (*count > 0) first = objects[0];
  if (first)
    for (*count = 0; *count < most; *count += 1) objects[*count] = first;
  return rv;
}

static CK_RV faulty_C_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO *info) {
  char words[128];
  CK_RV rv = real.C_GetSessionInfo(session, info);
  if (rv == CKR_OK && said("public", words, sizeof words)) info->state = CKS_RW_PUBLIC_SESSION;
  return rv;
}

static CK_RV faulty_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
  CK_RV rv = fault("C_GetTokenInfo");
  if (rv == CKR_OK) rv = real.C_GetTokenInfo(slot, info);
  if (rv == CKR_OK) info->flags |= fault("flags");
  return rv;
}

static CK_RV faulty_C_GenerateRandom(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG count) {
  char words[128];
  CK_RV rv = fault("C_GenerateRandom");
  if (rv == CKR_OK) rv = real.C_GenerateRandom(session, bytes, count);
  if (rv == CKR_OK && said("random", words, sizeof words)) memset(bytes, 0x2a, count);
  return rv;
}

static CK_RV faulty_C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes,
                                        CK_ULONG count) {
  char words[128];
  CK_RV rv = real.C_GetAttributeValue(session, object, attributes, count);
  for (CK_ULONG i = 0; rv == CKR_OK && i < count; i += 1)
    if (attributes[i].type == CKA_EXTRACTABLE && attributes[i].pValue && said("extractable", words, sizeof words))
      *(CK_BBOOL *)attributes[i].pValue = CK_TRUE;
  for (CK_ULONG i = 0; rv == CKR_OK && i < count; i += 1)
    if (attributes[i].type == CKA_VALUE && said("value", words, sizeof words)) attributes[i].ulValueLen = 0;
  return rv;
}

static CK_RV faulty_C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature,
                           CK_ULONG *signatureLength) {
  char words[128];
  CK_RV rv = fault("C_Sign");
  if (rv != CKR_OK) {
    /* The operation is over, as the standard has it for every error but two. */
    CK_BYTE ignored[1024];
    CK_ULONG room = sizeof ignored;
    real.C_Sign(session, data, length, ignored, &room);
    return rv;
  }
  rv = real.C_Sign(session, data, length, signature, signatureLength);
  if (rv == CKR_OK && signature && said("signature", words, sizeof words)) {
    if (strstr(words, "short")) *signatureLength -= 2;
    else signature[*signatureLength - 1] ^= 1;
  }
  return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
  void *module = dlopen(REAL_MODULE, RTLD_NOW | RTLD_LOCAL);
  CK_RV (*get)(CK_FUNCTION_LIST **) = module ? (CK_RV(*)(CK_FUNCTION_LIST **))dlsym(module, "C_GetFunctionList") : NULL;
  CK_FUNCTION_LIST *found;
  if (!get || get(&found) != CKR_OK) return CKR_GENERAL_ERROR;
  real = faulty = *found;
  faulty.C_Initialize = faulty_C_Initialize;
  faulty.C_Finalize = faulty_C_Finalize;
  faulty.C_OpenSession = faulty_C_OpenSession;
  faulty.C_GetSessionInfo = faulty_C_GetSessionInfo;
  faulty.C_Login = faulty_C_Login;
  faulty.C_CreateObject = faulty_C_CreateObject;
  faulty.C_DestroyObject = faulty_C_DestroyObject;
  faulty.C_FindObjects = faulty_C_FindObjects;
  faulty.C_FindObjectsFinal = faulty_C_FindObjectsFinal;
  faulty.C_SignInit = faulty_C_SignInit;
  faulty.C_GenerateKeyPair = faulty_C_GenerateKeyPair;
  faulty.C_GetTokenInfo = faulty_C_GetTokenInfo;
  faulty.C_GenerateRandom = faulty_C_GenerateRandom;
  faulty.C_GetAttributeValue = faulty_C_GetAttributeValue;
  faulty.C_Sign = faulty_C_Sign;
  *list = &faulty;
  return CKR_OK;
}
