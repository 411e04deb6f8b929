// The job of the end-to-end tests: its first argument says what it does, or
// does wrong.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
	"github.com/weirstream/weir/connector/generator"
	"github.com/weirstream/weir/connector/stdout"
)

// Number is the record of all jobs here.
type Number struct {
	Key   int64 `json:"key" csv:"key"`
	Value int64 `json:"value" csv:"value"`
}

func main() {
	role := os.Args[1]
	mode := os.Getenv("WEIR_MODE") // weir.Main removes it.
	switch role {
	case "exit":
		fmt.Fprintln(os.Stderr, "no database")
		os.Exit(3)
	case "usage":
		flags := flag.NewFlagSet("job", flag.ExitOnError)
		flags.String("topic", "", "the `topic` to read")
		_ = flags.Parse(os.Args[2:])
	case "nothing":
		return
	case "garbage":
		fd, err := strconv.Atoi(os.Getenv("WEIR_PLAN_FD"))
		if err == nil {
			_, err = os.NewFile(uintptr(fd), "plan").WriteString("this is no plan at all")
		}
		if err != nil {
			panic(err)
		}
		return
	}
	weir.Main("job "+role, func(env *weir.Env) { build(env, role, mode) })
}

func build(env *weir.Env, role, mode string) {
	number := func(i int64) Number { return Number{Key: i % 10, Value: i} }
	sum := func(a, b Number) Number { return Number{Key: a.Key, Value: a.Value + b.Value} }
	switch role {
	case "sums": // 0+10+20+…+990 for the key 0, and so on, as the last of each key's records.
		weir.From(env, "numbers", generator.Of(1000, number)).ID("numbers").
			KeyBy(func(n Number) int64 { return n.Key }).
			Reduce(sum).ID("sums").
			To("out", stdout.JSON[Number]()).ID("out")
	case "endless":
		weir.From(env, "numbers", generator.Of(-1, number).Rate(1000)).
			Rebalance().
			Filter(func(n Number) bool { return n.Value == 0 }).Name("zero").
			To("out", stdout.JSON[Number]())
	case "talk": // A record is printed; so is what the user's function prints.
		weir.From(env, "numbers", generator.Of(1, number)).
			Map(func(n Number) Number {
				fmt.Fprintln(os.Stderr, "on standard error")
				return n
			}).
			To("out", stdout.JSON[Number]())
	case "panic":
		weir.From(env, "numbers", generator.Of(10, number)).
			Map(func(n Number) Number {
				if n.Value == 7 {
					panic("seven is not allowed")
				}
				return n
			}).Name("no seven").
			To("out", stdout.JSON[Number]())
	case "once": // Panics unless its marker exists, which it makes first.
		weir.From(env, "numbers", generator.Of(1000, number)).
			Map(func(n Number) Number {
				if _, err := os.Stat(env.Args()[1]); n.Value == 500 && err != nil {
					if err := os.WriteFile(env.Args()[1], nil, 0o600); err != nil {
						panic(err)
					}
					panic("not the first time")
				}
				return n
			}).
			KeyBy(func(n Number) int64 { return n.Key }).
			Reduce(sum).
			To("out", stdout.JSON[Number]())
	case "paced": // The sums, of input that takes five seconds.
		weir.From(env, "numbers", generator.Of(1000, number).Rate(200)).
			KeyBy(func(n Number) int64 { return n.Key }).
			Reduce(sum).
			To("out", stdout.JSON[Number]())
	case "csv":
		weir.From(env, "rows", file.CSV[Number](env.Args()[1])).
			To("out", stdout.JSON[Number]())
	case "differs": // Between the two plannings.
		weir.From(env, "numbers", generator.Of(1, number)).
			Name("numbers since "+strconv.FormatInt(time.Now().UnixNano(), 10)).
			To("out", stdout.JSON[Number]())
	case "worker-differs": // Between plan and worker.
		weir.From(env, "numbers", generator.Of(1, number)).
			Map(func(n Number) Number { return n }).Name("in mode "+mode).
			To("out", stdout.JSON[Number]())
	case "mistakes":
		s := weir.From(env, "numbers", generator.Of(1, number)).ID("same").Parallelism(-1)
		s.To("out", stdout.JSON[Number]()).ID("same")
	default:
		panic("unknown role " + role)
	}
}
