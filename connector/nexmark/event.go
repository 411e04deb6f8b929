package nexmark

import "fmt"

// Kind says what an [Event] is.
type Kind uint8

// The kinds of event. The zero Kind is none of them.
const (
	KindPerson Kind = 1 + iota
	KindAuction
	KindBid
)

// String returns what stands in the event's JSON: "person", "auction" or "bid".
func (k Kind) String() string {
	switch k {
	case KindPerson:
		return "person"
	case KindAuction:
		return "auction"
	case KindBid:
		return "bid"
	default:
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
}

// Event is a person, an auction or a bid. Bids, which are 46 of 50, lie in the
// event itself, so that making one takes no allocation.
type Event struct {
	// Seq is the number of the event, from 0.
	Seq int64
	// DateTime is the event time, in ms since 1970.
	DateTime int64
	// Kind says which one of the following the event is.
	Kind Kind
	// Bid is the bid; of other kinds it is zero.
	Bid Bid
	// Auction is the auction, nil for other kinds.
	Auction *Auction
	// Person is the person, nil for other kinds.
	Person *Person
}

// Person is somebody who registered, to sell or to bid.
type Person struct {
	Seq          int64  `json:"seq"`      // the number of the event
	DateTime     int64  `json:"dateTime"` // event time, in ms since 1970
	ID           int64  `json:"id"`       // from 1000
	Name         string `json:"name"`
	EmailAddress string `json:"emailAddress"`
	CreditCard   string `json:"creditCard"`
	City         string `json:"city"`
	State        string `json:"state"` // two letters, not always the city's
	Extra        string `json:"extra"` // brings the person to about 200 bytes
}

// Auction is an item put up for sale.
type Auction struct {
	Seq         int64  `json:"seq"`      // the number of the event
	DateTime    int64  `json:"dateTime"` // event time, in ms since 1970
	ID          int64  `json:"id"`       // from 1000
	ItemName    string `json:"itemName"`
	Description string `json:"description"`
	InitialBid  int64  `json:"initialBid"` // cents
	Reserve     int64  `json:"reserve"`    // cents
	Expires     int64  `json:"expires"`    // ms since 1970
	Seller      int64  `json:"seller"`     // a person, who may be up to ten people ahead
	Category    int64  `json:"category"`   // 10 … 14
	Extra       string `json:"extra"`      // brings the auction to about 500 bytes
}

// Bid is an offer for an item.
type Bid struct {
	Seq      int64  `json:"seq"`      // the number of the event
	DateTime int64  `json:"dateTime"` // event time, in ms since 1970
	Auction  int64  `json:"auction"`  // an auction, which may be up to ten auctions ahead
	Bidder   int64  `json:"bidder"`   // a person, who may be up to ten people ahead
	Price    int64  `json:"price"`    // cents
	Channel  string `json:"channel"`
	URL      string `json:"url"`
	Extra    string `json:"extra"` // brings the bid to about 100 bytes
}
