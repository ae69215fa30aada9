/* Tells the app when what waits for a connection's peer passes buffer_high_watermark (event buffer_full) and when it has fallen to
 * buffer_low_watermark (buffer_empty): once per crossing, and not at all if it is back before the handler could run. */
#pragma once

struct session;

/* Bytes were sent or have left. */
void watermark_look(struct session *s);
