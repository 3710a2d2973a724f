package keycard

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"sync"
	"time"

	"keycard/generated"
)

const (
	// A used refresh token gets the same answer again for 10 seconds; later it looks stolen. So the last try must start within them:
	// all others end after 3 seconds. The last one may take as long as any request.
	refreshTries      = 3
	refreshTryTimeout = 3 * time.Second
	maxWaits          = 2
)

// session sends requests with the tokens of the storage, and gets new ones when they expire. It is the http.RoundTripper below
// the generated client.
type session struct {
	storage   Storage
	transport http.RoundTripper
	timeout   time.Duration
	maxWait   time.Duration
	exchange  func(context.Context) (*generated.TokenPair, error)

	mu     sync.Mutex
	jar    http.CookieJar
	flight *flight // the refresh under way
}

// flight is one refresh or renewal, and everybody who waits for it.
type flight struct {
	done    chan struct{}
	renewal bool
	err     error // of a refresh; to be read when done is closed
}

// credential is what a request carries besides the cookies. within: the longest that one attempt may take, if not 0. atOnce: it
// does not wait for a Retry-After.
type credential struct {
	bearer, csrf string
	within       time.Duration
	atOnce       bool
}

type credentialKey struct{}

// presenting makes a context whose calls carry this credential, and are sent once, whatever the answer.
func presenting(ctx context.Context, what credential) context.Context {
	return context.WithValue(ctx, credentialKey{}, what)
}

func withoutToken(ctx context.Context) context.Context {
	return presenting(ctx, credential{})
}

func newSession() *session {
	s := &session{
		storage: &memory{}, transport: http.DefaultTransport, timeout: 30 * time.Second, maxWait: 30 * time.Second,
	}
	s.forgetCookies()
	return s
}

// RoundTrip sends the request with a good access token, and again with a new one if that was refused.
func (s *session) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		defer request.Body.Close()
	}
	ctx := request.Context()
	if chosen, ok := ctx.Value(credentialKey{}).(credential); ok {
		return s.send(request, chosen)
	}
	tokens, err := s.storage.Load(ctx)
	if err == nil && tokens.aboutToExpire() {
		newer, failure := s.renewed(ctx, tokens)
		// It was early: what is held is good for a little longer, unless the session is over.
		if failure == nil || tokens.expired() || sessionIsOver(failure) {
			tokens, err = newer, failure
		}
	}
	if err != nil {
		return nil, err
	}
	response, err := s.send(request, tokens.toCall())
	if err != nil || response.StatusCode != http.StatusUnauthorized || !tokens.refreshable() || !curedByRefresh(peek(response)) {
		return response, err
	}
	if tokens, err = s.renewed(ctx, tokens); err != nil {
		return nil, err
	}
	return s.send(request, tokens.toCall())
}

// renewed returns newer tokens than those that were used, by one refresh for everybody who waits. They are empty when the session
// was left meanwhile.
func (s *session) renewed(ctx context.Context, used Tokens) (Tokens, error) {
	for {
		s.mu.Lock()
		running := s.flight
		if running == nil {
			held, err := s.storage.Load(ctx)
			if err != nil || !held.same(used) || !held.refreshable() {
				s.mu.Unlock()
				return held, err // somebody else has refreshed, or signed out
			}
			running = &flight{done: make(chan struct{})}
			s.flight = running
			// Who started it may stop waiting; the others still need it.
			go s.refresh(context.WithoutCancel(ctx), running, held)
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return Tokens{}, ctx.Err()
		case <-running.done:
		}
		if running.err != nil {
			return Tokens{}, running.err
		}
		if !running.renewal {
			return s.storage.Load(ctx)
		}
	}
}

// renew calls an operation that takes the password and answers a new pair, and keeps that. Nobody refreshes meanwhile: the refresh
// token dies with the old pair.
func (s *session) renew(ctx context.Context, call func(context.Context) (*generated.TokenPair, error)) (*generated.TokenPair, error) {
	for refreshed := false; ; refreshed = true {
		running, held, err := s.takeOff(ctx)
		if err != nil {
			return nil, err
		}
		pair, err := call(presenting(ctx, held.toCall()))
		if err == nil {
			err = s.storage.Save(context.WithoutCancel(ctx), tokensOf(pair))
		}
		s.land(running)
		if refreshed || !held.refreshable() || !curedByRefresh(err) {
			return pair, err
		}
		if _, err = s.renewed(ctx, held); err != nil {
			return nil, err
		}
	}
}

// takeOff starts a renewal when nobody else is in the air, and returns what is held.
func (s *session) takeOff(ctx context.Context) (*flight, Tokens, error) {
	for {
		s.mu.Lock()
		before := s.flight
		if before == nil {
			defer s.mu.Unlock()
			held, err := s.storage.Load(ctx)
			if err != nil {
				return nil, held, err
			}
			s.flight = &flight{done: make(chan struct{}), renewal: true}
			return s.flight, held, nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, Tokens{}, ctx.Err()
		case <-before.done:
		}
	}
}

func (s *session) land(running *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(running.done)
	if s.flight == running {
		s.flight = nil
	}
}

// refresh stores the new tokens before anybody goes on, or clears the storage when the session is over.
func (s *session) refresh(ctx context.Context, running *flight, held Tokens) {
	pair, err := s.exchanged(ctx, held.toRefresh())
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(running.done)
	if s.flight != running {
		return // somebody signed in or out meanwhile, and what is stored now counts
	}
	s.flight = nil
	switch {
	case err == nil:
		running.err = s.storage.Save(ctx, tokensOf(pair))
	case sessionIsOver(err):
		running.err = errors.Join(err, s.storage.Clear(ctx))
	default:
		running.err = err // a network that is down signs nobody out
	}
}

// exchanged tries again at once when the answer was lost: within the grace window the same refresh token is answered the same pair.
func (s *session) exchanged(ctx context.Context, what credential) (*generated.TokenPair, error) {
	what.within = refreshTryTimeout
	for try := 1; try < refreshTries; try++ {
		if pair, err := s.exchange(presenting(ctx, what)); err == nil || !isLost(err) {
			return pair, err
		}
		what.atOnce = true // a wait after a lost answer could outlast the 10 seconds
	}
	what.within = 0
	return s.exchange(presenting(ctx, what))
}

// send sends the request, and again when it was turned away with a Retry-After: then nothing was done.
func (s *session) send(request *http.Request, what credential) (*http.Response, error) {
	for waits := 0; ; waits++ {
		response, err := s.attempt(request, what)
		if err != nil {
			return nil, err
		}
		turnedAway := response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable
		wait, asked := retryAfter(response)
		if !turnedAway || !asked || what.atOnce || waits == maxWaits || wait > s.maxWait {
			return response, nil
		}
		select {
		case <-request.Context().Done():
			return nil, request.Context().Err()
		case <-time.After(wait):
		}
	}
}

// attempt sends the request once and reads the whole answer.
func (s *session) attempt(request *http.Request, what credential) (*http.Response, error) {
	timeout := s.timeout
	if what.within != 0 {
		timeout = min(timeout, what.within)
	}
	ctx, cancel := context.WithTimeout(request.Context(), timeout)
	defer cancel()
	s.mu.Lock()
	jar := s.jar
	s.mu.Unlock()
	sent, err := what.copied(request.WithContext(ctx), jar)
	if err != nil {
		return nil, err
	}
	response, err := s.transport.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	jar.SetCookies(sent.URL, response.Cookies())
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// begin replaces the session, and any refresh of the one before counts no more.
func (s *session) begin(ctx context.Context, tokens Tokens) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	return s.storage.Save(ctx, tokens)
}

// forget clears the storage, also for a caller who has stopped waiting, and returns what it held.
func (s *session) forget(ctx context.Context) (Tokens, error) {
	ctx = context.WithoutCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	held, err := s.storage.Load(ctx)
	return held, errors.Join(err, s.storage.Clear(ctx))
}

func (s *session) forgetCookies() {
	jar, _ := cookiejar.New(nil) // it has no error to return
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jar = jar
}

// copied is the request with this credential. A bearer token goes alone: beside a cookie only the CSRF value is sent.
func (c credential) copied(request *http.Request, jar http.CookieJar) (*http.Request, error) {
	made := request.Clone(request.Context())
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		made.Body = body
	}
	switch {
	case c.bearer != "":
		made.Header.Set("Authorization", "Bearer "+c.bearer)
	case c.csrf != "" && request.Method != http.MethodGet:
		made.Header.Set("X-CSRF-TOKEN", c.csrf)
	}
	for _, each := range jar.Cookies(request.URL) {
		made.AddCookie(each)
	}
	return made, nil
}

// peek reads the problem in an answer and leaves it readable.
func peek(response *http.Response) error {
	body, _ := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return newProblem(response, body)
}
