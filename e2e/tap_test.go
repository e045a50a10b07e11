package e2e

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// tap leads connections on to a gateway until the test ends, each byte as it comes, and
// has the answers judged by a copy: unlike a proxy of HTTP it changes nothing of what
// the client and the gateway see of each other, and of how their connection breaks.
func (j *judge) tap(t testing.TB, gateway string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { j.lead(ctx, client, hostOf(gateway)) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		end()
		all.Wait()
	})
	return listener.Addr().String()
}

// lead leads one connection on until either side, or ctx, ends it.
func (j *judge) lead(ctx context.Context, client net.Conn, host string) {
	defer client.Close()
	gateway, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return
	}
	defer gateway.Close()
	defer context.AfterFunc(ctx, func() {
		client.Close()
		gateway.Close()
	})()
	requests, requestBytes := io.Pipe()
	answers, answerBytes := io.Pipe()
	asked, deaf := make(chan *http.Request), make(chan struct{})
	var parsing sync.WaitGroup
	parsing.Go(func() { readRequests(requests, asked, deaf) })
	parsing.Go(func() {
		defer io.Copy(io.Discard, answers) // nobody may wait for us
		defer close(deaf)
		j.judgeCopies(answers, host, asked)
	})
	over := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader, copied *io.PipeWriter) {
		io.Copy(io.MultiWriter(to, copied), from) // that it ends is all there is to know
		copied.Close()
		over <- struct{}{}
	}
	go pass(gateway, client, requestBytes)
	go pass(client, gateway, answerBytes)
	<-over
	client.Close()
	gateway.Close()
	<-over
	parsing.Wait()
}

// readRequests passes on each request once its head has come: it may be answered before
// its body ends.
func readRequests(copied io.Reader, asked chan<- *http.Request, deaf <-chan struct{}) {
	defer close(asked)
	defer io.Copy(io.Discard, copied) // nobody may wait for us
	in := bufio.NewReader(copied)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		select {
		case asked <- request:
		case <-deaf:
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
	}
}

// judgeCopies ends at what can't be read: connections break.
func (j *judge) judgeCopies(copied io.Reader, host string, asked <-chan *http.Request) {
	in := bufio.NewReader(copied)
	for request := range asked {
		request.URL.Host = host
		answer, err := http.ReadResponse(in, request)
		for err == nil && answer.StatusCode < http.StatusOK { // RFC 9110, section 15.2
			answer, err = http.ReadResponse(in, request)
		}
		if err != nil {
			return
		}
		if answer, err = j.over(heard{answer}).RoundTrip(request); err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return
		}
	}
}

// heard is a transport that has its answer already.
type heard struct{ answer *http.Response }

// RoundTrip implements http.RoundTripper.
func (h heard) RoundTrip(*http.Request) (*http.Response, error) { return h.answer, nil }
