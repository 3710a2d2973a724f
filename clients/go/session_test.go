package keycard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keycard"
	"keycard/generated"
)

const waiting = 50

var ctx = context.Background()

// server answers as the handlers say, "METHOD /path"; what has none is a get_me of ada.
func server(t *testing.T, handlers map[string]http.HandlerFunc) string {
	t.Helper()
	made := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, ok := handlers[r.Method+" "+r.URL.Path]; ok {
			handler(w, r)
			return
		}
		answer(w, 200, ada())
	}))
	t.Cleanup(made.Close)
	return made.URL
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, slug string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type": "/problems/%s", "title": "T", "status": %d, "detail": "D", "request_id": "r"}`, slug, status)
}

func ada() map[string]any {
	return map[string]any{
		"id": "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01", "username": "ada", "status": "active", "roles": []string{},
		"display_name": nil, "email": nil, "email_verified": false,
		"created_at": "2026-11-22T09:30:00.123456+00:00", "updated_at": "2026-11-22T09:30:00.123456+00:00",
	}
}

func pair(number int) map[string]any {
	return map[string]any{
		"token_type": "Bearer", "expires_in": 900, "refresh_expires_in": 9000, "session_id": "s", "delivery": "body",
		"access_token": fmt.Sprintf("access-%d", number), "refresh_token": fmt.Sprintf("refresh-%d", number),
	}
}

// box is a storage that tests can look into. It heeds the context, as one on a disk or in a network would.
type box struct {
	mu     sync.Mutex
	tokens keycard.Tokens
}

func (b *box) Load(context.Context) (keycard.Tokens, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tokens, nil
}

func (b *box) Save(ctx context.Context, tokens keycard.Tokens) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = tokens
	return nil
}

func (b *box) Clear(ctx context.Context) error { return b.Save(ctx, keycard.Tokens{}) }

func (b *box) held() keycard.Tokens {
	tokens, _ := b.Load(ctx)
	return tokens
}

// signedIn holds tokens that the client believes to be good for this long.
func signedIn(lifetime time.Duration) *box {
	return &box{tokens: keycard.Tokens{
		AccessToken: "access-0", RefreshToken: "refresh-0", ExpiresAt: time.Now().Add(lifetime), Lifetime: lifetime,
	}}
}

func problemOf(t *testing.T, err error) *keycard.Problem {
	t.Helper()
	var problem *keycard.Problem
	if !errors.As(err, &problem) {
		t.Fatalf("%v is no problem", err)
	}
	return problem
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// together runs the call in as many goroutines as may wait, and returns their errors.
func together(call func() error) []error {
	failures := make([]error, waiting)
	var all sync.WaitGroup
	for i := range failures {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			failures[i] = call()
		}(i)
	}
	all.Wait()
	return failures
}

// An operation is a method of the client by its operationId, and calls the method and path that the document says.
func TestEveryOperationIsReachable(t *testing.T) {
	text, err := os.ReadFile("../../openapi/openapi.json")
	must(t, err)
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	must(t, json.Unmarshal(text, &document))
	var called []string
	url := server(t, nil)
	client := func() reflect.Value {
		called = nil
		record := roundTrip(func(r *http.Request) (*http.Response, error) {
			called = append(called, r.Method+" "+r.URL.Path)
			return http.DefaultTransport.RoundTrip(r)
		})
		return reflect.ValueOf(keycard.New(url, keycard.WithTransport(record), keycard.WithStorage(signedIn(time.Hour))))
	}
	count := 0
	for path, operations := range document.Paths {
		for verb, declared := range operations {
			if verb == "parameters" {
				continue
			}
			var operation struct{ OperationID string }
			must(t, json.Unmarshal(declared, &operation))
			name := ""
			for _, part := range strings.Split(operation.OperationID, "_") {
				name += strings.ToUpper(part[:1]) + part[1:]
			}
			method := client().MethodByName(name)
			if !method.IsValid() {
				t.Errorf("%s has no method %s", operation.OperationID, name)
				continue
			}
			arguments := []reflect.Value{reflect.ValueOf(ctx)}
			for i := 1; i < method.Type().NumIn(); i++ {
				argument := reflect.New(method.Type().In(i)).Elem()
				if argument.Kind() == reflect.String {
					argument.SetString("x")
				}
				arguments = append(arguments, argument)
			}
			method.Call(arguments)
			for _, parameter := range []string{"{slug}", "{user_id}", "{session_id}"} {
				path = strings.ReplaceAll(path, parameter, "x")
			}
			if want := strings.ToUpper(verb) + " " + path; len(called) != 1 || called[0] != want {
				t.Errorf("%s called %v, not %s", name, called, want)
			}
			count++
		}
	}
	if count == 0 || count != reflect.TypeOf(&generated.Operations{}).NumMethod() {
		t.Errorf("%d operations in the document, %d methods", count, reflect.TypeOf(&generated.Operations{}).NumMethod())
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// A failed refresh is one failure for everybody who waits, and a session that is over leaves nothing in the storage.
func TestAllWaitersShareAFailedRefresh(t *testing.T) {
	var refreshes, refused atomic.Int32
	everybody := make(chan struct{})
	url := server(t, map[string]http.HandlerFunc{
		"GET /v1/users/me": func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, 401, generated.SlugTokenExpired)
		},
		"POST /v1/auth/refresh": func(w http.ResponseWriter, _ *http.Request) {
			refreshes.Add(1)
			<-everybody
			time.Sleep(200 * time.Millisecond) // until the last of them has read its answer
			refuse(w, 401, generated.SlugRefreshTokenReused)
		},
	})
	arrivals := roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		if r.Method == http.MethodGet && refused.Add(1) == waiting {
			close(everybody)
		}
		return response, err
	})
	storage := signedIn(time.Hour)
	client := keycard.New(url, keycard.WithStorage(storage), keycard.WithTransport(arrivals))
	for _, err := range together(func() error { _, err := client.GetMe(ctx); return err }) {
		if problem := problemOf(t, err); problem.Slug != generated.SlugRefreshTokenReused {
			t.Errorf("not the shared failure: %v", problem)
		}
	}
	if refreshes.Load() != 1 || storage.held() != (keycard.Tokens{}) {
		t.Errorf("%d refreshes, then %+v", refreshes.Load(), storage.held())
	}
}

// A network that is down signs nobody out: the same refresh token is tried at once, and again by the next call.
func TestALostConnectionKeepsTheTokens(t *testing.T) {
	var refreshes atomic.Int32
	down := atomic.Bool{}
	down.Store(true)
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/v1/auth/refresh" {
			refreshes.Add(1)
			if r.Header.Get("Authorization") != "Bearer refresh-0" {
				t.Errorf("not the same refresh token: %v", r.Header)
			}
			if down.Load() {
				return nil, errors.New("the network is down")
			}
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	url := server(t, map[string]http.HandlerFunc{
		"POST /v1/auth/refresh": func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, pair(1)) },
	})
	storage := signedIn(0)
	client := keycard.New(url, keycard.WithStorage(storage), keycard.WithTransport(transport))
	_, err := client.GetMe(ctx)
	if err == nil || refreshes.Load() != 3 || storage.held().RefreshToken != "refresh-0" {
		t.Fatalf("%v after %d refreshes, %+v", err, refreshes.Load(), storage.held())
	}
	down.Store(false)
	_, err = client.GetMe(ctx)
	must(t, err)
	if storage.held().RefreshToken != "refresh-1" {
		t.Error("the new pair is not held")
	}
}

// A lost refresh is tried three times: twice for 3 seconds, so that the last try starts within the grace window, and then as long
// as any request. It does not wait for a Retry-After, which could outlast the window.
func TestALostRefreshIsTriedAgainSoonEnough(t *testing.T) {
	var limits []time.Duration
	busy := false
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		deadline, _ := r.Context().Deadline()
		limits = append(limits, time.Until(deadline).Round(time.Second))
		if busy {
			header := http.Header{"Retry-After": {"1"}}
			return &http.Response{StatusCode: 503, Header: header, Body: http.NoBody, Request: r}, nil
		}
		busy = len(limits) == 4
		return nil, errors.New("the connection is lost")
	})
	client := keycard.New("http://keycard.test", keycard.WithStorage(signedIn(0)), keycard.WithTransport(transport))
	_, err := client.GetMe(ctx)
	if wanted := []time.Duration{3 * time.Second, 3 * time.Second, 30 * time.Second}; err == nil || !slices.Equal(limits, wanted) {
		t.Errorf("%v after tries of %v", err, limits)
	}
	_, err = client.GetMe(ctx)
	if problem := problemOf(t, err); problem.Status != 503 || len(limits) != 5 {
		t.Errorf("%v after %d tries", err, len(limits))
	}
}

// A refresh that is only early may fail: the access token is good for a little longer.
func TestARefreshThatIsOnlyEarlyMayFail(t *testing.T) {
	var refreshes atomic.Int32
	url := server(t, map[string]http.HandlerFunc{
		"POST /v1/auth/refresh": func(w http.ResponseWriter, _ *http.Request) {
			refreshes.Add(1)
			refuse(w, 500, generated.SlugInternalError)
		},
	})
	storage := signedIn(10 * time.Second)
	held := storage.held()
	held.Lifetime = 10 * time.Minute
	must(t, storage.Save(ctx, held))
	client := keycard.New(url, keycard.WithStorage(storage))
	_, err := client.GetMe(ctx)
	must(t, err)
	if refreshes.Load() == 0 || storage.held() != held {
		t.Errorf("%d refreshes, then %+v", refreshes.Load(), storage.held())
	}
}

// A caller who stops waiting gets away at once, and takes the refresh from nobody else, even if they started it.
func TestAContextEndsTheWaitingAndNotTheRefresh(t *testing.T) {
	var refreshes atomic.Int32
	begun, goOn := make(chan struct{}), make(chan struct{})
	url := server(t, map[string]http.HandlerFunc{
		"POST /v1/auth/refresh": func(w http.ResponseWriter, _ *http.Request) {
			refreshes.Add(1)
			close(begun)
			<-goOn
			answer(w, 200, pair(1))
		},
	})
	client := keycard.New(url, keycard.WithStorage(signedIn(0)))
	impatient, stop := context.WithCancel(ctx)
	first, second := make(chan error), make(chan error)
	go func() { _, err := client.GetMe(impatient); first <- err }()
	<-begun
	go func() { _, err := client.GetMe(ctx); second <- err }()
	stop()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("not cancelled: %v", err)
	}
	close(goOn)
	must(t, <-second)
	if refreshes.Load() != 1 {
		t.Errorf("%d refreshes", refreshes.Load())
	}
}

// What a refresh brings after the sign-out is not stored.
func TestLogoutWinsOverARefreshUnderWay(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	url := server(t, map[string]http.HandlerFunc{
		"POST /v1/auth/refresh": func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-goOn
			answer(w, 200, pair(1))
		},
		"DELETE /v1/auth/logout": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer refresh-0" {
				t.Errorf("logout with %v", r.Header)
			}
			w.WriteHeader(204)
		},
	})
	storage := signedIn(0)
	client := keycard.New(url, keycard.WithStorage(storage))
	done := make(chan error)
	go func() { done <- client.Refresh(ctx) }()
	<-begun
	must(t, client.Logout(ctx))
	close(goOn)
	must(t, <-done)
	if storage.held() != (keycard.Tokens{}) {
		t.Errorf("still %+v", storage.held())
	}
	must(t, client.Logout(ctx))
}

// The storage is cleared although the server cannot be told, and although nobody waits any more.
func TestLogoutClearsTheStorageWhateverHappens(t *testing.T) {
	storage := signedIn(time.Hour)
	broken := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("the network is down") })
	client := keycard.New("http://keycard.invalid", keycard.WithStorage(storage), keycard.WithTransport(broken))
	hasty, stop := context.WithCancel(ctx)
	stop()
	if err := client.Logout(hasty); err == nil || storage.held() != (keycard.Tokens{}) {
		t.Errorf("%v, still %+v", err, storage.held())
	}
}

// An answer that asks to wait is waited for, and the body is sent again; a wait beyond the bound is the caller's.
func TestRetryAfterIsObeyed(t *testing.T) {
	var asked atomic.Int32
	url := server(t, map[string]http.HandlerFunc{
		"POST /v1/auth/register": func(w http.ResponseWriter, r *http.Request) {
			var body map[string]any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body["username"] != "ada" {
				t.Errorf("not the same body: %v", body)
			}
			if asked.Add(1) == 1 {
				w.Header().Set("Retry-After", "1")
				refuse(w, 429, generated.SlugTooManyRequests)
				return
			}
			answer(w, 201, ada())
		},
		"POST /v1/auth/password/forgot": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "31")
			refuse(w, 503, generated.SlugServiceUnavailable)
		},
		"POST /v1/auth/email/verify": func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Retry-After", "0")
			refuse(w, 429, generated.SlugTooManyRequests)
		},
	})
	client := keycard.New(url)
	started := time.Now()
	_, err := client.Register(ctx, generated.RegisterRequest{Username: "ada", Password: "Correct-Horse-7"})
	must(t, err)
	if took := time.Since(started); took < time.Second || asked.Load() != 2 {
		t.Errorf("%d requests in %v", asked.Load(), took)
	}
	problem := problemOf(t, client.ForgotPassword(ctx, generated.EmailRequest{Email: "ada@example.com"}))
	if problem.RetryAfter != 31*time.Second || problem.Slug != generated.SlugServiceUnavailable {
		t.Errorf("%+v", problem)
	}
	asked.Store(0)
	if problemOf(t, client.VerifyEmail(ctx, generated.EmailVerification{})); asked.Load() != 3 {
		t.Errorf("tried %d times", asked.Load())
	}
	hasty, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	asked.Store(0)
	if _, err = client.Register(hasty, generated.RegisterRequest{Username: "ada"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited longer than the context: %v", err)
	}
}

// A newer server may send more than this client knows.
func TestWhatALaterServerAddsIsSurvived(t *testing.T) {
	url := server(t, map[string]http.HandlerFunc{
		"GET /v1/users/me": func(w http.ResponseWriter, _ *http.Request) {
			body := ada()
			body["status"], body["shoe_size"] = "hibernating", map[string]any{"eu": 37}
			answer(w, 200, body)
		},
		"DELETE /v1/users/me": func(w http.ResponseWriter, _ *http.Request) { refuse(w, 418, "is-a-teapot") },
		"GET /v1/users/me/sessions": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("X-Request-ID", "from-the-proxy")
			w.WriteHeader(502)
			_, _ = w.Write([]byte("<h1>Bad gateway</h1>"))
		},
	})
	client := keycard.New(url)
	me, err := client.GetMe(ctx)
	must(t, err)
	if me.Username != "ada" || me.Status != "hibernating" {
		t.Errorf("%+v", me)
	}
	if problem := problemOf(t, client.DeleteMe(ctx)); problem.Slug != "is-a-teapot" || problem.Status != 418 || problem.Detail != "D" {
		t.Errorf("%+v", problem)
	}
	_, err = client.ListSessions(ctx, nil)
	if problem := problemOf(t, err); problem.Status != 502 || problem.Slug != "" || problem.RequestID != "from-the-proxy" {
		t.Errorf("%+v", problem)
	}
}

// A public operation works although the session is over, and a wrong password is no reason to refresh.
func TestOnlyAnExpiredSessionIsRefreshed(t *testing.T) {
	url := server(t, map[string]http.HandlerFunc{
		"POST /v1/auth/refresh": func(w http.ResponseWriter, _ *http.Request) {
			t.Error("refreshed")
			refuse(w, 401, generated.SlugSessionEnded)
		},
		"GET /health/live": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("a token for everybody to see")
			}
			answer(w, 200, map[string]any{"status": "alive"})
		},
		"POST /v1/auth/login":          func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, generated.SlugInvalidCredentials) },
		"POST /v1/auth/reauthenticate": func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, generated.SlugWrongPassword) },
	})
	expired := keycard.New(url, keycard.WithStorage(signedIn(0)))
	_, err := expired.Live(ctx)
	must(t, err)
	_, err = expired.Login(ctx, "ada", "wrong")
	if problemOf(t, err).Slug != generated.SlugInvalidCredentials {
		t.Error(err)
	}
	_, err = keycard.New(url, keycard.WithStorage(signedIn(time.Hour))).Reauthenticate(ctx, "wrong")
	if problemOf(t, err).Slug != generated.SlugWrongPassword {
		t.Error(err)
	}
}

// A token goes to Keycard and nowhere else.
func TestNoTokenFollowsARedirect(t *testing.T) {
	elsewhere := server(t, map[string]http.HandlerFunc{
		"GET /v1/users/me": func(http.ResponseWriter, *http.Request) { t.Error("followed") },
	})
	url := server(t, map[string]http.HandlerFunc{
		"GET /v1/users/me": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+"/v1/users/me", http.StatusFound)
		},
	})
	_, err := keycard.New(url, keycard.WithStorage(signedIn(time.Hour))).GetMe(ctx)
	if problem := problemOf(t, err); problem.Status != 302 {
		t.Errorf("%+v", problem)
	}
}

// jsonFile is a storage as a command line would have it; what comes back has lost its monotonic clock.
type jsonFile struct{ path string }

func (f jsonFile) Load(context.Context) (tokens keycard.Tokens, err error) {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return tokens, nil
	}
	return tokens, errors.Join(err, json.Unmarshal(text, &tokens))
}

func (f jsonFile) Save(_ context.Context, tokens keycard.Tokens) error {
	text, err := json.Marshal(tokens)
	return errors.Join(err, os.WriteFile(f.path, text, 0o600))
}

func (f jsonFile) Clear(context.Context) error { return os.Remove(f.path) }

// Two processes with one storage share what either has refreshed.
func TestTokensThatSomebodyElseRefreshedAreUsed(t *testing.T) {
	var refreshes atomic.Int32
	storage := jsonFile{t.TempDir() + "/tokens.json"}
	first := keycard.Tokens{AccessToken: "access-0", RefreshToken: "refresh-0", ExpiresAt: time.Now().Add(time.Hour), Lifetime: time.Hour}
	must(t, storage.Save(ctx, first))
	url := server(t, map[string]http.HandlerFunc{
		"GET /v1/users/me": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer access-1" {
				answer(w, 200, ada())
				return
			}
			second := first
			second.AccessToken = "access-1"
			must(t, storage.Save(ctx, second)) // the other process
			refuse(w, 401, generated.SlugTokenExpired)
		},
		"POST /v1/auth/refresh": func(w http.ResponseWriter, _ *http.Request) {
			refreshes.Add(1)
			answer(w, 200, pair(2))
		},
	})
	client := keycard.New(url, keycard.WithStorage(storage))
	_, err := client.GetMe(ctx)
	must(t, err)
	if refreshes.Load() != 0 {
		t.Error("refreshed although there were newer tokens")
	}
	must(t, client.Refresh(ctx))
	if held, _ := storage.Load(ctx); refreshes.Load() != 1 || held.AccessToken != "access-2" {
		t.Errorf("%d refreshes, %v", refreshes.Load(), held)
	}
}

// Neither tokens nor a client that holds them can be printed into a log.
func TestPrintingShowsNoToken(t *testing.T) {
	storage := signedIn(time.Hour)
	client := keycard.New("http://keycard.invalid", keycard.WithStorage(storage))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, each := range []any{storage.held(), client, client.API, struct{ Tokens keycard.Tokens }{storage.held()}} {
			if text := fmt.Sprintf(verb, each); strings.Contains(text, "access-0") || strings.Contains(text, "refresh-0") {
				t.Errorf("%s shows %s", verb, text)
			}
		}
	}
}
