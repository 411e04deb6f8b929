// Command verify is the job of package recovery, for clusters whose processes are
// killed: verify <folder> <records of each split> <records of a split per second>.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/recovery"
)

func main() {
	folder, source, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	weir.Main("verify", func(env *weir.Env) { recovery.Job(source, folder)(env) })
}

func parse(args []string) (recovery.Folder, recovery.Events, error) {
	source := recovery.Events{Parts: 4, Keys: 50}
	if len(args) != 3 {
		return "", source, fmt.Errorf("%d arguments: want the folder, the records of each split, and how many of them there are in a second", len(args))
	}
	var err error
	if source.Each, err = strconv.ParseInt(args[1], 10, 64); err == nil {
		source.PerSecond, err = strconv.ParseInt(args[2], 10, 64)
	}
	return recovery.Folder(args[0]), source, err
}
