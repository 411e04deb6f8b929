package file

import (
	"encoding"
	"errors"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"
)

// setter stores the value of a column in the field at dst. It does not keep
// value, which is part of the scanner's buffer. A setter holds state, so each
// reader has its own.
type setter func(dst unsafe.Pointer, value []byte) error

// setterFor compiles the setter of a type, or returns nil where there is none.
func setterFor(t reflect.Type, f *field, strings *arena) setter {
	if t.Kind() == reflect.Pointer {
		elem := setterFor(t.Elem(), &field{layout: f.layout}, strings)
		if elem == nil || t.Elem().Kind() == reflect.Pointer {
			return nil
		}
		return pointerSetter(t.Elem(), elem)
	}
	set := leafSetter(t, f.layout, strings)
	if set != nil && f.optional {
		return optionalSetter(set)
	}
	return set
}

func leafSetter(t reflect.Type, layout string, strings *arena) setter {
	switch {
	case t == timeType:
		return timeSetter(layout)
	case t == durationType:
		return setDuration
	case reflect.PointerTo(t).Implements(textType):
		return textSetter(t)
	}
	switch t.Kind() {
	case reflect.String:
		return func(dst unsafe.Pointer, value []byte) error {
			if !ascii(value) && !utf8.Valid(value) {
				return errUTF8
			}
			*(*string)(dst) = strings.clone(value)
			return nil
		}
	case reflect.Bool:
		return setBool
	case reflect.Int:
		return intSetter[int]()
	case reflect.Int8:
		return intSetter[int8]()
	case reflect.Int16:
		return intSetter[int16]()
	case reflect.Int32:
		return intSetter[int32]()
	case reflect.Int64:
		return intSetter[int64]()
	case reflect.Uint:
		return uintSetter[uint]()
	case reflect.Uint8:
		return uintSetter[uint8]()
	case reflect.Uint16:
		return uintSetter[uint16]()
	case reflect.Uint32:
		return uintSetter[uint32]()
	case reflect.Uint64:
		return uintSetter[uint64]()
	case reflect.Float32:
		return floatSetter[float32]()
	case reflect.Float64:
		return floatSetter[float64]()
	default:
		return nil
	}
}

// ascii reports whether value is short and nothing but ASCII, which most values
// are: it costs less than a call.
func ascii(value []byte) bool {
	if len(value) > 16 {
		return false
	}
	var all byte
	for _, c := range value {
		all |= c
	}
	return all < utf8.RuneSelf
}

var errEmpty = errors.New("it is empty and the field is not optional")

// reason reduces strconv's error to what is not said already.
func reason(err error) error {
	if err == nil {
		return nil
	}
	var number *strconv.NumError
	if errors.As(err, &number) {
		return number.Err
	}
	return err
}

// text is value as a string, for a parser that does not keep it.
func text(value []byte) string { return unsafe.String(unsafe.SliceData(value), len(value)) }

func intSetter[I int | int8 | int16 | int32 | int64]() setter {
	bits := int(unsafe.Sizeof(I(0))) * 8
	return func(dst unsafe.Pointer, value []byte) error {
		if i, ok := smallInt(value); ok && int64(I(i)) == i {
			*(*I)(dst) = I(i)
			return nil
		}
		if len(value) == 0 {
			return errEmpty
		}
		i, err := strconv.ParseInt(text(value), 10, bits)
		*(*I)(dst) = I(i)
		return reason(err)
	}
}

func uintSetter[U uint | uint8 | uint16 | uint32 | uint64]() setter {
	bits := int(unsafe.Sizeof(U(0))) * 8
	return func(dst unsafe.Pointer, value []byte) error {
		if i, ok := smallInt(value); ok && value[0] != '-' && int64(U(i)) == i {
			*(*U)(dst) = U(i)
			return nil
		}
		if len(value) == 0 {
			return errEmpty
		}
		u, err := strconv.ParseUint(text(value), 10, bits)
		*(*U)(dst) = U(u)
		return reason(err)
	}
}

// smallInt parses up to 18 digits, which fit, behind a possible minus. What it
// declines strconv decides.
func smallInt(value []byte) (int64, bool) {
	digits := value
	if len(value) > 0 && value[0] == '-' {
		digits = value[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	var i int64
	for _, c := range digits {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		i = i*10 + int64(c)
	}
	if len(digits) < len(value) {
		i = -i
	}
	return i, true
}

func floatSetter[F float32 | float64]() setter {
	bits := int(unsafe.Sizeof(F(0))) * 8
	return func(dst unsafe.Pointer, value []byte) error {
		if len(value) == 0 {
			return errEmpty
		}
		f, err := strconv.ParseFloat(text(value), bits)
		*(*F)(dst) = F(f)
		return reason(err)
	}
}

func setBool(dst unsafe.Pointer, value []byte) error {
	if len(value) == 0 {
		return errEmpty
	}
	b, err := strconv.ParseBool(text(value))
	*(*bool)(dst) = b
	return reason(err)
}

func setDuration(dst unsafe.Pointer, value []byte) error {
	if len(value) == 0 {
		return errEmpty
	}
	d, err := time.ParseDuration(text(value))
	if err != nil {
		return errors.New(`it is not like "1h30m"`)
	}
	*(*time.Duration)(dst) = d
	return nil
}

// timeSetter remembers the last value: in a file of events neighbours often have
// the same time, and comparing it costs a tenth of parsing it.
func timeSetter(layout string) setter {
	if layout == "" {
		layout = time.RFC3339
	}
	var last []byte
	var lastTime time.Time
	return func(dst unsafe.Pointer, value []byte) error {
		if len(value) == 0 {
			return errEmpty
		}
		if string(value) != string(last) {
			t, err := time.Parse(layout, text(value))
			if err != nil {
				return timeError(err, layout)
			}
			last, lastTime = append(last[:0], value...), t
		}
		*(*time.Time)(dst) = lastTime
		return nil
	}
}

// timeError says where a time departs from its layout.
func timeError(err error, layout string) error {
	var parse *time.ParseError
	switch {
	case !errors.As(err, &parse):
		return err
	case parse.Message != "":
		return errors.New("it does not follow the layout " + layout + parse.Message)
	default:
		return errors.New("it does not follow the layout " + layout + " from " + strconv.Quote(parse.ValueElem) +
			" on, where " + strconv.Quote(parse.LayoutElem) + " is expected")
	}
}

func textSetter(t reflect.Type) setter {
	return func(dst unsafe.Pointer, value []byte) error {
		return reflect.NewAt(t, dst).Interface().(encoding.TextUnmarshaler).UnmarshalText(value)
	}
}

func optionalSetter(set setter) setter {
	return func(dst unsafe.Pointer, value []byte) error {
		if len(value) == 0 {
			return nil // the record was zeroed
		}
		return set(dst, value)
	}
}

// pointerBlock is how many bytes of pointed-to values share an allocation: a
// record that is kept keeps its neighbours' values alive, and no more than that.
const pointerBlock = 512

// pointerSetter takes the values that pointers point to from blocks, which are
// typed, as the collector must find the pointers in them.
func pointerSetter(elem reflect.Type, set setter) setter {
	perBlock := max(1, pointerBlock/max(1, int(elem.Size())))
	var block unsafe.Pointer
	used := perBlock
	return func(dst unsafe.Pointer, value []byte) error {
		if len(value) == 0 {
			return nil // the record was zeroed
		}
		if used == perBlock {
			block, used = reflect.MakeSlice(reflect.SliceOf(elem), perBlock, perBlock).UnsafePointer(), 0
		}
		p := unsafe.Add(block, uintptr(used)*elem.Size())
		used++
		*(*unsafe.Pointer)(dst) = p
		return set(p, value)
	}
}

// arena makes strings of bytes. Many share one allocation, so keeping one string
// keeps at most a block.
type arena struct{ block []byte }

const (
	stringBlock = 4 << 10
	longString  = stringBlock / 8 // from here on a string has its own allocation
)

func (a *arena) clone(value []byte) string {
	if len(value) == 0 {
		return ""
	}
	if len(value) > cap(a.block)-len(a.block) {
		if len(value) >= longString {
			return string(value)
		}
		a.block = make([]byte, 0, stringBlock)
	}
	begin := len(a.block)
	a.block = append(a.block, value...)
	return text(a.block[begin:])
}
