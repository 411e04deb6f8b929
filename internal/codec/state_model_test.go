package codec_test

import (
	"encoding/binary"
	"math"
	"math/big"
	"reflect"
	"time"
)

// modelState is the state encoding as the package documentation states it, by
// reflection over the value: slow, and apart from the code under test. It knows no
// types that encode themselves, and no interfaces.
func modelState(dst []byte, v reflect.Value) []byte {
	le := binary.LittleEndian
	length := func(n int, isNil bool) []byte {
		if isNil {
			return append(dst, 0)
		}
		return binary.AppendUvarint(dst, uint64(n)+1)
	}
	if at, ok := v.Interface().(time.Time); ok {
		dst = le.AppendUint64(dst, uint64(at.Unix()))
		dst = le.AppendUint32(dst, uint32(at.Nanosecond()))
		name, offset := at.Zone()
		switch at.Location() {
		case time.UTC:
			return le.AppendUint32(dst, 0)
		case time.Local:
			return le.AppendUint32(dst, math.MaxUint32)
		}
		dst = le.AppendUint32(dst, uint32(4+len(name)))
		return append(le.AppendUint32(dst, uint32(offset)), name...)
	}
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(dst, 1)
		}
		return append(dst, 0)
	case reflect.Int8:
		return append(dst, byte(v.Int()))
	case reflect.Int16:
		return le.AppendUint16(dst, uint16(v.Int()))
	case reflect.Int32:
		return le.AppendUint32(dst, uint32(v.Int()))
	case reflect.Int64, reflect.Int:
		return le.AppendUint64(dst, uint64(v.Int()))
	case reflect.Uint8:
		return append(dst, byte(v.Uint()))
	case reflect.Uint16:
		return le.AppendUint16(dst, uint16(v.Uint()))
	case reflect.Uint32:
		return le.AppendUint32(dst, uint32(v.Uint()))
	case reflect.Uint64, reflect.Uint, reflect.Uintptr:
		return le.AppendUint64(dst, v.Uint())
	case reflect.Float32:
		return le.AppendUint32(dst, math.Float32bits(float32(v.Float())))
	case reflect.Float64:
		return le.AppendUint64(dst, math.Float64bits(v.Float()))
	case reflect.Complex64:
		dst = le.AppendUint32(dst, math.Float32bits(float32(real(v.Complex()))))
		return le.AppendUint32(dst, math.Float32bits(float32(imag(v.Complex()))))
	case reflect.Complex128:
		dst = le.AppendUint64(dst, math.Float64bits(real(v.Complex())))
		return le.AppendUint64(dst, math.Float64bits(imag(v.Complex())))
	case reflect.String:
		return append(binary.AppendUvarint(dst, uint64(v.Len())), v.String()...)
	case reflect.Struct:
		for i := range v.NumField() {
			dst = modelState(dst, v.Field(i))
		}
	case reflect.Pointer:
		if dst = length(0, v.IsNil()); !v.IsNil() {
			dst = modelState(dst, v.Elem())
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice {
			dst = length(v.Len(), v.IsNil())
		}
		for i := range v.Len() {
			dst = modelState(dst, v.Index(i))
		}
	case reflect.Map:
		dst = length(v.Len(), v.IsNil())
		for i := v.MapRange(); i.Next(); {
			dst = modelState(modelState(dst, i.Key()), i.Value())
		}
	}
	return dst
}

// modelCompatible reports whether values of type a become such of type b.
func modelCompatible(a, b reflect.Type) bool {
	if x, y := numbersOf(a), numbersOf(b); x != nil && y != nil {
		return x[0].Cmp(y[0]) >= 0 && x[1].Cmp(y[1]) <= 0
	}
	if a.Kind() == reflect.Float32 && b.Kind() == reflect.Float64 {
		return true
	}
	moment := reflect.TypeFor[time.Time]()
	if a == moment || b == moment || a.Kind() != b.Kind() {
		return a == b
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if f, ok := b.FieldByName(a.Field(i).Name); ok && !modelCompatible(a.Field(i).Type, f.Type) {
				return false
			}
		}
	case reflect.Slice:
		if empty := modelState(nil, reflect.Zero(a.Elem())); len(empty) == 0 && b.Elem().Size() > 0 {
			return false
		}
		return modelCompatible(a.Elem(), b.Elem())
	case reflect.Array:
		return a.Len() == b.Len() && modelCompatible(a.Elem(), b.Elem())
	case reflect.Pointer:
		return modelCompatible(a.Elem(), b.Elem())
	case reflect.Map:
		return a.Key() == b.Key() && modelCompatible(a.Elem(), b.Elem())
	}
	return true
}

// numbersOf returns the least and the greatest number of a type of integers.
func numbersOf(t reflect.Type) []*big.Int {
	one := big.NewInt(1)
	power := func(n int) *big.Int { return new(big.Int).Lsh(one, uint(n)) }
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		end := power(t.Bits() - 1)
		return []*big.Int{new(big.Int).Neg(end), new(big.Int).Sub(end, one)}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return []*big.Int{new(big.Int), new(big.Int).Sub(power(t.Bits()), one)}
	}
	return nil
}

// modelEvolve sets dst, which is zero, to what src becomes.
func modelEvolve(dst, src reflect.Value) {
	switch {
	case dst.Type() == src.Type():
		dst.Set(src)
		return
	case src.CanInt():
		if dst.CanInt() {
			dst.SetInt(src.Int())
		}
		return
	case src.CanUint():
		if dst.CanUint() {
			dst.SetUint(src.Uint())
		} else {
			dst.SetInt(int64(src.Uint()))
		}
		return
	case src.CanFloat():
		dst.SetFloat(src.Float())
		return
	}
	switch src.Kind() {
	case reflect.Struct:
		for i := range src.NumField() {
			if f := dst.FieldByName(src.Type().Field(i).Name); f.IsValid() {
				modelEvolve(f, src.Field(i))
			}
		}
	case reflect.Slice:
		if !src.IsNil() {
			dst.Set(reflect.MakeSlice(dst.Type(), src.Len(), src.Len()))
		}
		fallthrough
	case reflect.Array:
		for i := range src.Len() {
			modelEvolve(dst.Index(i), src.Index(i))
		}
	case reflect.Pointer:
		if !src.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
			modelEvolve(dst.Elem(), src.Elem())
		}
	case reflect.Map:
		if !src.IsNil() {
			dst.Set(reflect.MakeMap(dst.Type()))
		}
		for i := src.MapRange(); i.Next(); {
			elem := reflect.New(dst.Type().Elem()).Elem()
			modelEvolve(elem, i.Value())
			dst.SetMapIndex(i.Key(), elem)
		}
	}
}
