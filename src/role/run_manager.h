/* The manager process (process mode): the supervisor around a control socket to the master, and the app's
 * lifecycle handlers. It may die at any time: the master starts another, which adopts the workers.
 */
#pragma once

int run_manager(int control);
