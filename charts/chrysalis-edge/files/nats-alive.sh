# Fails where only a new nats-server helps. Arguments: URL of its monitor, a file to remember by, seconds.
ask() { wget -q -t 1 -T 5 -O /dev/null "$1"; }

# It stands still.
ask "$1/varz" || exit 1

if ask "$1/healthz"; then
  : > "$2"
  exit 0
fi
# A stream whose disk was full is written again only by a restarted server; what streams in memory hold is lost with it. A server of a
# cluster that catches up gets well by itself.
read -r now _ < /proc/uptime
now=${now%.*}
read -r since < "$2" || echo "${since:=$now}" > "$2"
[ $((now - since)) -lt "$3" ]
