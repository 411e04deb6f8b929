package nexmark

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// AppendJSON appends the event's line of JSON, without a line feed: the kind as
// "type", then the fields in the order in which they stand in its type, without
// spaces. No character is escaped that need not be; & stays &. An event of no kind
// is null.
func (e Event) AppendJSON(dst []byte) []byte {
	switch {
	case e.Kind == KindBid:
		return appendBid(dst, &e.Bid)
	case e.Kind == KindAuction && e.Auction != nil:
		return appendAuction(dst, e.Auction)
	case e.Kind == KindPerson && e.Person != nil:
		return appendPerson(dst, e.Person)
	default:
		return append(dst, "null"...)
	}
}

// MarshalJSON implements [json.Marshaler] with [Event.AppendJSON]. [json.Marshal]
// itself escapes the & of URLs; an encoder with SetEscapeHTML(false) does not, nor
// does the sink of connector/stdout.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// UnmarshalJSON implements [json.Unmarshaler]: it reads what [Event.AppendJSON]
// wrote, as [json.Unmarshal] would. Unknown fields are ignored, and null leaves
// the event as it is.
func (e *Event) UnmarshalJSON(data []byte) error {
	if string(bytes.TrimSpace(data)) == "null" {
		return nil
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return fmt.Errorf("a Nexmark event: %w", err)
	}
	var read Event
	var err error
	switch kind.Type {
	case "bid":
		err = json.Unmarshal(data, &read.Bid)
		read.Kind, read.Seq, read.DateTime = KindBid, read.Bid.Seq, read.Bid.DateTime
	case "auction":
		read.Auction = new(Auction)
		err = json.Unmarshal(data, read.Auction)
		read.Kind, read.Seq, read.DateTime = KindAuction, read.Auction.Seq, read.Auction.DateTime
	case "person":
		read.Person = new(Person)
		err = json.Unmarshal(data, read.Person)
		read.Kind, read.Seq, read.DateTime = KindPerson, read.Person.Seq, read.Person.DateTime
	default:
		return fmt.Errorf("a Nexmark event: its type is %.40q; it is person, auction or bid", kind.Type)
	}
	if err != nil {
		return fmt.Errorf("a Nexmark %s: %w", kind.Type, err)
	}
	*e = read
	return nil
}

func appendBid(dst []byte, b *Bid) []byte {
	dst = appendHead(dst, KindBid, b.Seq, b.DateTime)
	dst = appendInt(dst, `,"auction":`, b.Auction)
	dst = appendInt(dst, `,"bidder":`, b.Bidder)
	dst = appendInt(dst, `,"price":`, b.Price)
	dst = appendString(dst, `,"channel":`, b.Channel)
	dst = appendString(dst, `,"url":`, b.URL)
	dst = appendString(dst, `,"extra":`, b.Extra)
	return append(dst, '}')
}

func appendAuction(dst []byte, a *Auction) []byte {
	dst = appendHead(dst, KindAuction, a.Seq, a.DateTime)
	dst = appendInt(dst, `,"id":`, a.ID)
	dst = appendString(dst, `,"itemName":`, a.ItemName)
	dst = appendString(dst, `,"description":`, a.Description)
	dst = appendInt(dst, `,"initialBid":`, a.InitialBid)
	dst = appendInt(dst, `,"reserve":`, a.Reserve)
	dst = appendInt(dst, `,"expires":`, a.Expires)
	dst = appendInt(dst, `,"seller":`, a.Seller)
	dst = appendInt(dst, `,"category":`, a.Category)
	dst = appendString(dst, `,"extra":`, a.Extra)
	return append(dst, '}')
}

func appendPerson(dst []byte, p *Person) []byte {
	dst = appendHead(dst, KindPerson, p.Seq, p.DateTime)
	dst = appendInt(dst, `,"id":`, p.ID)
	dst = appendString(dst, `,"name":`, p.Name)
	dst = appendString(dst, `,"emailAddress":`, p.EmailAddress)
	dst = appendString(dst, `,"creditCard":`, p.CreditCard)
	dst = appendString(dst, `,"city":`, p.City)
	dst = appendString(dst, `,"state":`, p.State)
	dst = appendString(dst, `,"extra":`, p.Extra)
	return append(dst, '}')
}

func appendHead(dst []byte, kind Kind, seq, dateTime int64) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, kind.String()...)
	dst = appendInt(dst, `","seq":`, seq)
	return appendInt(dst, `,"dateTime":`, dateTime)
}

func appendInt(dst []byte, before string, value int64) []byte {
	return strconv.AppendInt(append(dst, before...), value, 10)
}

// appendString appends a string in quotes. Nothing that a source makes has to be
// escaped, but an event may have been changed.
func appendString(dst []byte, before, value string) []byte {
	dst = append(dst, before...)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == '"' || c == '\\' || c > '~' {
			return appendEscaped(dst, value)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, value...)
	return append(dst, '"')
}

func appendEscaped(dst []byte, value string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // a string and a buffer give it no reason
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
