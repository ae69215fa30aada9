/* Tells a service manager how we are (sd_notify(3)). */
#pragma once

/* Remembers NOTIFY_SOCKET and removes it from the environment, so that children do not speak for us. */
void notify_open(void);
/* "READY=1"; nothing happens where nobody wants to know. */
void notify_say(const char *state);
/* "RELOADING=1" with the time that Type=notify-reload wants. */
void notify_say_reloading(void);
