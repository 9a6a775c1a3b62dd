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
    if [ ! -e "$inside-journal" ] && cp -p "$inside" lib/astdb.new &&
        cmp -s "$inside" lib/astdb.new && [ ! -e "$inside-journal" ]; then
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
    if [ lib/astdb.sqlite3 -nt "$memory/astdb.sqlite3" ] || [ ! -e "$memory/astdb.sqlite3" ]; then
        rm -f "$memory"/astdb.sqlite3*
        [ ! -e lib/astdb.sqlite3 ] || cp -p lib/astdb.sqlite3 "$memory/new"
        [ ! -e "$memory/new" ] || mv "$memory/new" "$memory/astdb.sqlite3"
    fi
fi
[ "$(readlink run/db)" = "$place" ] || ln -sfn "$place" run/db

# The kernel keeps the pid over exec.
echo $$ >run/started.new && mv run/started.new run/started.pid
asterisk
