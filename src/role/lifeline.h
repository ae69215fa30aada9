/* Ends this process soon after everybody above it has gone, even while Lua runs for ever: a thread waits
 * for the end of the control socket.
 */
#pragma once

/* `control` stays the caller's.  0 or negative errno. */
int lifeline_start(int control);
