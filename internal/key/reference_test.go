package key_test

import (
	"encoding/binary"
	"reflect"

	"github.com/zeebo/xxh3"
)

// reference is the frozen hash and encoding as the package documentation states
// them, by reflection over the value: slow, and apart from the code under test.
type reference struct {
	words   []uint64
	text    []string
	encoded []byte
}

func referenceOf(key any) *reference {
	r := &reference{}
	r.add(reflect.ValueOf(key))
	return r
}

func (r *reference) add(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		b := byte(0)
		if v.Bool() {
			b = 1
		}
		r.words = append(r.words, uint64(b))
		r.encoded = append(r.encoded, b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		r.integer(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		r.integer(v.Uint())
	case reflect.String:
		r.text = append(r.text, v.String())
		r.encoded = binary.AppendUvarint(r.encoded, uint64(v.Len()))
		r.encoded = append(r.encoded, v.String()...)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "_" {
				r.add(v.Field(i))
			}
		}
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			r.bytes(v)
			return
		}
		for i := range v.Len() {
			r.add(v.Index(i))
		}
	default:
		panic("no key: " + v.Type().String())
	}
}

func (r *reference) integer(w uint64) {
	r.words = append(r.words, w)
	r.encoded = binary.BigEndian.AppendUint64(r.encoded, w)
}

func (r *reference) bytes(v reflect.Value) {
	word := uint64(0)
	for i := range v.Len() {
		b := v.Index(i).Uint()
		r.encoded = append(r.encoded, byte(b))
		word |= b << (8 * (i % 8))
		if i%8 == 7 || i == v.Len()-1 {
			r.words = append(r.words, word)
			word = 0
		}
	}
}

func (r *reference) hash() uint64 {
	switch {
	case len(r.text) == 1 && len(r.words) == 0:
		return xxh3.HashString(r.text[0])
	case len(r.text) > 0 || len(r.words) > 8:
		return xxh3.Hash(r.encoded)
	}
	h := uint64(0)
	for _, w := range r.words {
		h ^= w
		for _, m := range []uint64{0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53} {
			h ^= h >> 33
			h *= m
		}
		h ^= h >> 33
	}
	return h
}
