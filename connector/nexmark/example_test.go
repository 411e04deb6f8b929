package nexmark_test

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/nexmark"
	"github.com/weirstream/weir/connector/stdout"
)

// Offer is what query 2 of the benchmark asks for.
type Offer struct{ Auction, Price int64 }

// The bids for some auctions: query 2 over the first 8,000 events.
func ExampleEvents() {
	err := weir.Run(context.Background(), "query 2", func(env *weir.Env) {
		weir.From(env, "nexmark", nexmark.Events(8_000)).
			WithWatermarksByField(weir.BoundedOutOfOrderness(nexmark.OutOfOrderness),
				func(e *nexmark.Event) *int64 { return &e.DateTime }).
			Filter(func(e nexmark.Event) bool { return e.Kind == nexmark.KindBid && e.Bid.Auction%123 == 0 }).
			Map(func(e nexmark.Event) Offer { return Offer{e.Bid.Auction, e.Bid.Price} }).
			To("stdout", stdout.JSON[Offer]())
	}, weir.Setting("parallelism.default", "1"))
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"Auction":1107,"Price":3192}
	// {"Auction":1107,"Price":110}
	// {"Auction":1107,"Price":1813}
	// {"Auction":1107,"Price":177}
	// {"Auction":1107,"Price":100651}
	// {"Auction":1107,"Price":3689053}
	// {"Auction":1107,"Price":2273}
	// {"Auction":1230,"Price":7739360}
	// {"Auction":1230,"Price":4308372}
	// {"Auction":1230,"Price":2042}
	// {"Auction":1230,"Price":2660}
	// {"Auction":1353,"Price":1640051}
	// {"Auction":1353,"Price":409508}
}

// Any event can be made by itself.
func ExampleSource_Event() {
	source := nexmark.Events(-1).Seed(1).EventRate(10_000)
	e := source.Event(10_000_000)
	fmt.Println(e.Kind, e.Person.ID, e.Person.Name, "of", e.Person.City)
	fmt.Println(time.UnixMilli(e.DateTime).UTC())
	// Output:
	// person 201000 Vicky Smith of Los Angeles
	// 2015-07-15 00:16:10 +0000 UTC
}
