package key_test

import (
	"fmt"
	"testing"
)

func benchmarkHash[K comparable](b *testing.B, key func(i int) K) {
	kind := kindOf[K](b)
	keys, hashes := make([]K, 512), make([]uint64, 512)
	for i := range keys {
		keys[i] = key(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		kind.Hash(keys, hashes)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/key")
}

// BenchmarkHash hashes batches of 512.
func BenchmarkHash(b *testing.B) {
	b.Run("uint64", func(b *testing.B) { benchmarkHash(b, func(i int) uint64 { return uint64(i) }) })
	b.Run("int32", func(b *testing.B) { benchmarkHash(b, func(i int) int32 { return int32(i) }) })
	b.Run("[16]byte", func(b *testing.B) { benchmarkHash(b, func(i int) [16]byte { return [16]byte{byte(i)} }) })
	b.Run("padded", func(b *testing.B) { benchmarkHash(b, func(i int) padded { return padded{A: int8(i)} }) })
	b.Run("string3", func(b *testing.B) { benchmarkHash(b, func(i int) string { return fmt.Sprintf("%03d", i) }) })
	b.Run("string16", func(b *testing.B) { benchmarkHash(b, func(i int) string { return fmt.Sprintf("%016d", i) }) })
	b.Run("nested", func(b *testing.B) {
		benchmarkHash(b, func(i int) nested { return nested{Carrier: "AA", tail: userID(fmt.Sprint("N", i))} })
	})
}
