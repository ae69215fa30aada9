/* Frames of a worker's answer to bytes on the connection. */
#pragma once

#include "proto/proto.h"

/* struct proto.output of HTTP/1. */
int http1_answer(struct proto_conn *pc, const struct frame *f, struct str payload, struct stream *s);
