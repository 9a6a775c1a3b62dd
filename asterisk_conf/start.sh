# Starts Asterisk with AstDB, its own database, in memory: a telephone must be able to sign in, and a
# browser's telephone to get its password, also when the disk is full.
#
#   start            start Asterisk in this process
#   start keep       copy AstDB to the disk, from where it is taken again after a power cut
#   start put-away   the same once Asterisk has ended, and clear the memory
cd "$root" || exit 1

keep() {
    inside=$memory/astdb.sqlite3
    [ -O "$memory" ] && [ -e "$inside" ] || return 0
    # What Asterisk is just writing is copied the next time.
    if [ -s "$inside" ] && [ ! -e "$inside-journal" ] && cp -p "$inside" lib/astdb.new &&
        cmp -s "$inside" lib/astdb.new && [ ! -e "$inside-journal" ] && sync lib/astdb.new; then
        mv lib/astdb.new lib/astdb.sqlite3
    else
        rm -f lib/astdb.new
        return 1
    fi
}

case "$1" in
keep) keep && exit ;;
put-away) keep && rm -rf "$memory" && exit ;;
esac
[ -z "$1" ] || exit 1

place=../lib
# When somebody logs out, logind clears what he has there, but not what a system's user has.
if [ "$(id -u)" -lt 1000 ] && mkdir -p -m 700 "$memory" 2>/dev/null &&
    [ -O "$memory" ] && [ ! -L "$memory" ]; then
    place=$memory
    inside=$memory/astdb.sqlite3
    if [ -e lib/astdb.sqlite3 ] && { [ lib/astdb.sqlite3 -nt "$inside" ] || [ ! -e "$inside" ]; }; then
        if cp -p lib/astdb.sqlite3 "$memory/new"; then
            rm -f "$inside-journal"
            mv "$memory/new" "$inside"
        else
            rm -f "$memory/new"
            place=../lib
        fi
    fi
fi
[ "$(readlink run/db)" = "$place" ] || ln -sfn "$place" run/db

# The kernel keeps the pid over exec. Written over the former one, it needs no room on the disk.
printf '%-8s\n' $$ 1<>run/started.pid
asterisk
