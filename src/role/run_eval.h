/* The evaluator: a short-lived process that runs the app script in record mode and answers with frozen
 * settings and image; or runs one lifecycle handler. What the script does wrong, it does to this process
 * only.
 */
#pragma once

int run_eval(int control);
