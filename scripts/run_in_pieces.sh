#!/bin/sh
# Any resumable bonelift command in pieces of so many seconds, for a machine that is lent or a queue that kills:
#
#   scripts/run_in_pieces.sh 540 bonelift evaluate study --run runs/paper --preset paper --device cuda --fold fold-1
#
# The command gets SIGTERM when its piece is over, writes its checkpoint and ends; a minute later it is killed.
# Exit status: 0 the work is done; 75 (EX_TEMPFAIL) the piece is over, call again; else what the command says.
# PIECES=N: so many pieces here, one after the other (default 1).
#
# A study's next piece needs the whole folder given as --run: carry it along where the next machine is another one.
seconds=$1
shift
case $seconds in '' | *[!0-9]*) echo "run_in_pieces.sh: expected SECONDS COMMAND..., got '$seconds'" >&2; exit 2 ;; esac
[ $# -gt 0 ] || { echo "run_in_pieces.sh: expected a command after $seconds" >&2; exit 2; }
for piece in $(seq "${PIECES:-1}"); do
    timeout --signal=TERM --kill-after=60 "$seconds" "$@"
    status=$?
    # 124: timeout ended it; 130: it was interrupted and has saved; 137: killed, goes on from its last checkpoint.
    case $status in 124 | 130 | 137) echo "piece $piece is over" >&2 ;; *) exit $status ;; esac
done
exit 75
