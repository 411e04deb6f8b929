package task

import (
	"fmt"
	"reflect"

	"github.com/weirstream/weir/internal/codec"
	"github.com/weirstream/weir/internal/key"
)

// StateDescriptor says what a process function declares when it opens.
type StateDescriptor struct {
	// Kind is what it is for the user: "value state". Name is unique in the operator.
	Kind, Name string
	// Values are the types that a snapshot would have to encode, each with what
	// is wrong with it.
	Values []StateType
}

// StateType is a type in a state, and whether it can be encoded.
type StateType struct {
	Type reflect.Type
	Err  error
}

// StateTypeOf returns the state type of V.
func StateTypeOf[V any]() StateType {
	_, err := codec.For[V]()
	return StateType{Type: reflect.TypeFor[V](), Err: err}
}

// stateBackend keeps one state of an operator, with an A for each key. Each call is
// for the current key. Between two turns of the keys' scope a backend may move what
// it has, take a snapshot of it and write it elsewhere.
type stateBackend[A any] interface {
	// find returns the key's A to read it until the end of the turn, nil if there
	// is none.
	find() *A
	// change returns the key's A to change it until the end of the turn; made tells
	// that it is new, and zero. find came before in the same turn.
	change() (a *A, made bool)
	// remove removes the A that find or change returned in the same turn.
	remove()
}

// keyScope says whose turn it is: states look themselves up once for each, and keep
// what they found for its rest.
type keyScope struct {
	turn uint64
	// active tells that there is a current key.
	active bool
	// operator is its kind and name, for messages.
	operator string
}

// currentKey is the key whose record or timer is being processed.
type currentKey[K comparable] struct {
	keyScope
	key  K
	hash uint64
}

func (c *currentKey[K]) set(k K, hash uint64) {
	c.turn++
	c.key, c.hash, c.active = k, hash, true
}

func (c *currentKey[K]) clear() {
	var none K
	c.turn++
	c.key, c.active = none, false
}

// KeyedState is a state of an operator with an A for each key, as its function
// sees it: that of the current key. It panics where there is no current key, which
// is a mistake of the function.
type KeyedState[A any] struct {
	backend stateBackend[A]
	scope   *keyScope
	what    string // kind and name, for messages

	// turn is when a was found. changing tells that it may be written through.
	turn     uint64
	a        *A
	changing bool
}

// Read returns the current key's A, nil if there is none. It must not be changed,
// and is good until the function returns or changes the state.
func (s *KeyedState[A]) Read() *A {
	if s == nil || s.turn != s.scope.turn {
		s.look()
	}
	return s.a
}

// Change returns the current key's A to be changed; made tells that it is new.
func (s *KeyedState[A]) Change() (a *A, made bool) {
	if s == nil || s.turn != s.scope.turn {
		s.look()
	}
	if !s.changing {
		s.a, made = s.backend.change()
		s.changing = true
	}
	return s.a, made
}

// Remove removes the current key's A.
func (s *KeyedState[A]) Remove() {
	if s.Read() != nil {
		s.backend.remove()
		s.a, s.changing = nil, false
	}
}

// look finds the state of a new turn.
func (s *KeyedState[A]) look() {
	if s == nil {
		panic("a state is used that was never declared: get it in Open, from its context's ValueState, ListState, MapState, ReducingState or AggregatingState")
	}
	if !s.scope.active {
		panic(fmt.Sprintf("%s of %s is used without a current key: state is there while a record or a timer is processed, not in Open and Close, nor on another goroutine or in a function that was kept", s.what, s.scope.operator))
	}
	s.turn = s.scope.turn
	s.a, s.changing = s.backend.find(), false
}

// DeclareState gives the function of k a state. A descriptor that is wrong is an
// error of its Open. clone says how an A is copied for a snapshot, nil by assignment.
func DeclareState[K comparable, A any](k *Keyed[K], d StateDescriptor, clone func(*A) A) *KeyedState[A] {
	what := fmt.Sprintf("%s %q", d.Kind, d.Name)
	if k.opened {
		panic(fmt.Sprintf("%s of %s is declared after Open: all states are declared there", what, k.operator()))
	}
	k.declare(d, what)
	backend := newMemoryState[K, A](&k.current, k.kind)
	if err := registerTable(k.Context, "state "+d.Name, k.kind, backend.table, clone); err != nil {
		k.mistakes = append(k.mistakes, fmt.Errorf("%s: %w", what, err))
	}
	return &KeyedState[A]{backend: backend, scope: &k.current.keyScope, what: what}
}

// declare notes a state, and what is wrong with it.
func (k *Keyed[K]) declare(d StateDescriptor, what string) {
	if d.Name == "" {
		k.mistakes = append(k.mistakes, fmt.Errorf("a %s has no name", d.Kind))
	}
	if other, ok := k.states[d.Name]; ok && d.Name != "" {
		k.mistakes = append(k.mistakes, fmt.Errorf("%s: the operator has a %s of that name already: names of states are unique in an operator", what, other))
	}
	k.states[d.Name] = d.Kind
	for _, t := range d.Values {
		if t.Err != nil {
			k.mistakes = append(k.mistakes, fmt.Errorf("%s: values of type %v cannot be written to a snapshot: %w", what, t.Type, t.Err))
		}
	}
}

// KeyTypeOf is [StateTypeOf] for the keys of the entries of a map.
func KeyTypeOf[E comparable]() StateType {
	_, err := key.For[E]()
	return StateType{Type: reflect.TypeFor[E](), Err: err}
}
