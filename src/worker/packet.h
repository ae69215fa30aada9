/* Datagrams in a worker: to the packet handlers, and out by server:sendto(). */
#pragma once

#include "ipc/frame.h"

struct worker;

int packet_on_frame(struct worker *w, const struct frame *f, struct str payload);

struct packet_to {
	const char *host; /* a numeric address, or the path or "@name" of a unix socket */
	uint16_t number;
	int port; /* index of the port to send from; -1: the first UDP port of the address's family */
};

/* 0 or a code.  That it was taken does not say that it arrives. */
int packet_send(struct worker *w, const struct packet_to *to, struct str bytes);
