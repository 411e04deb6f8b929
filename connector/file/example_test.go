package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
)

// Order is a record of the examples.
type Order struct {
	ID     int64   `json:"id"`
	Amount float64 `json:"amount"`
}

// A job that writes the orders it can read to one directory, and a line for each
// of the others to another.
func ExampleSource_Rejected() {
	dir, err := os.MkdirTemp("", "orders")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	orders := `{"id":1,"amount":9.5}
{"id":2,"amount":"much"}
{"id":3,"amount":0.25}
{"id":4,
`
	if err := os.WriteFile(filepath.Join(dir, "orders.jsonl"), []byte(orders), 0o600); err != nil {
		panic(err)
	}

	build := func(env *weir.Env) {
		results := weir.From(env, "orders", file.JSONLines[Order](dir+"/*.jsonl").Rejected())
		results.Filter(file.Result[Order].OK).
			Map(func(r file.Result[Order]) Order { return r.Record }).
			To("orders", file.CSVSink[Order](dir+"/good"))
		results.Filter(func(r file.Result[Order]) bool { return !r.OK() }).
			Map(func(r file.Result[Order]) string {
				return fmt.Sprintf("%s, line %d: %s", filepath.Base(r.Bad.File), r.Bad.Line, r.Bad.Text)
			}).
			To("bad orders", file.LinesSink(dir+"/bad"))
	}
	if err := weir.Run(context.Background(), "orders", build, weir.Setting("parallelism.default", "1")); err != nil {
		panic(err)
	}

	for _, name := range []string{"good/part-00000-000000.csv", "bad/part-00000-000000.txt"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s:\n%s", name, content)
	}
	// Output:
	// good/part-00000-000000.csv:
	// ID,Amount
	// 1,9.5
	// 3,0.25
	// bad/part-00000-000000.txt:
	// orders.jsonl, line 2: {"id":2,"amount":"much"}
	// orders.jsonl, line 4: {"id":4,
}
