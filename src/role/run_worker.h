/* The worker process: gets its descriptors over the control socket, loads the app, serves, drains, leaves. */
#pragma once

int run_worker(int control);
