/* Text codings. */
#pragma once

#include "base/str.h"

/* Decodes %HH (and '+' as a space if `plus`) into `out`, which has room for in.len bytes; returns the length.  A % that is
 * not followed by two hex digits stays as it is. */
size_t codec_url_decode(struct str in, bool plus, char *out);
/* True if the bytes are well-formed UTF-8. */
bool codec_utf8_ok(struct str in);
/* How many bytes at the front are well-formed UTF-8. `*may_go_on`: the rest is the beginning of a character, or nothing. */
size_t codec_utf8_prefix(struct str in, bool *may_go_on);
/* Base64 with padding (RFC 4648 §4).  `out` has room for 4 bytes for each 3 begun; returns the length. */
size_t codec_base64_encode(struct str in, char *out);
/* Back; `out` has room for 3 bytes for each 4.  The length, or -EBADMSG: not the one form that the bytes have. */
ssize_t codec_base64_decode(struct str in, char *out);
/* 64-bit FNV-1a, for checksums of our own files and for names; not for peers' keys. */
uint64_t codec_hash(struct str in);
/* `in` as a JSON string with quotes, into out (cap bytes, terminated); invalid UTF-8 becomes U+FFFD.  False: cut. */
bool codec_json_string(struct str in, char *out, size_t cap);
