const element = (id) => document.getElementById(id);

let lifetime = 0;
let expires = 0;

function cookie(name) {
    const pair = document.cookie.split('; ').find((each) => each.startsWith(`${name}=`));
    return pair?.slice(name.length + 1);
}

function show_exchange(request, answer) {
    const line = document.createElement('li');
    const status = document.createElement('strong');
    const call = document.createElement('code');
    const text = document.createElement('span');
    status.textContent = answer.status;
    status.className = answer.ok ? 'good' : 'bad';
    call.textContent = request;
    text.textContent = answer.text;
    line.append(status, call, text);
    element('exchanges').append(line);
    element('none').hidden = true;
}

// `csrf` names the cookie whose value goes into the header: the double submit.
async function send(method, path, { csrf, json } = {}) {
    const headers = {};
    if (csrf) headers['X-CSRF-TOKEN'] = cookie(csrf) ?? '';
    if (json) headers['Content-Type'] = 'application/json';
    const response = await fetch(path, { method, headers, body: json && JSON.stringify(json) });
    const answer = { status: response.status, ok: response.ok, text: (await response.text()).trim() };
    if (response.headers.get('Content-Type')?.startsWith('application/json')) {
        answer.json = JSON.parse(answer.text);
        answer.text = answer.json.msg ?? answer.text;
    }
    // RFC 6750 section 3.1: the word for an expired token. A request that lacks its CSRF value is not told so.
    answer.invalid_token = response.headers.get('WWW-Authenticate')?.includes('error="invalid_token"') ?? false;
    show_exchange(`${method} ${path}${csrf ? ' with X-CSRF-TOKEN' : ''}`, answer);
    return answer;
}

async function refresh() {
    const answer = await send('POST', 'session/refresh', { csrf: 'csrf_refresh_token' });
    if (answer.ok) show_session(answer.json);
    return answer.ok;
}

async function call(method, path, options) {
    const answer = await send(method, path, options);
    if (!answer.invalid_token) return answer;
    if (await refresh()) return send(method, path, options);
    show_login();
    return answer;
}

function show_session({ user, expires_in }) {
    lifetime = Math.max(lifetime, expires_in);
    expires = performance.now() + expires_in * 1000;
    element('user').textContent = user;
    element('login').hidden = true;
    element('session').hidden = false;
    count_down();
}

function show_login() {
    lifetime = 0;
    element('session').hidden = true;
    element('login').hidden = false;
    element('login').reset();
    element('username').focus();
}

function count_down() {
    const seconds = Math.max(0, Math.ceil((expires - performance.now()) / 1000));
    const text = seconds ? `good for ${seconds} s` : 'expired';
    // A screen reader is told of the end alone, not of each second.
    element('countdown').ariaLive = seconds ? 'off' : 'polite';
    if (element('countdown').value !== text) element('countdown').value = text;
    element('countdown').className = seconds ? 'good' : 'bad';
    element('left').max = lifetime;
    element('left').value = seconds;
}

// One thing at a time: a second click would only repeat the first one's refresh.
function on(id, event, action) {
    element(id).addEventListener(event, async (happened) => {
        happened.preventDefault();
        const buttons = document.querySelectorAll('button');
        buttons.forEach((button) => { button.disabled = true; });
        try {
            await action();
        } catch (error) {
            show_exchange('no answer', { ok: false, status: '–', text: error.message });
        } finally {
            buttons.forEach((button) => { button.disabled = false; });
            if (document.activeElement === document.body) element(id).focus();
        }
    });
}

on('login', 'submit', async () => {
    const form = Object.fromEntries(new FormData(element('login')));
    const answer = await send('POST', 'session/login', { json: form });
    element('refusal').textContent = answer.ok ? '' : answer.text;
    if (!answer.ok) return;
    show_session(answer.json);
    element('session-title').focus();
});

on('read', 'click', () => call('GET', 'api/profile'));
on('order', 'click', () => call('POST', 'api/orders', { csrf: 'csrf_access_token' }));
on('order-bare', 'click', () => call('POST', 'api/orders'));

on('logout', 'click', async () => {
    await send('POST', 'session/logout', { csrf: 'csrf_refresh_token' });
    show_login();
});

setInterval(count_down, 250);

// The session outlives a reload of the page; a CSRF cookie says that there may be one.
const resumed = cookie('csrf_refresh_token') && await refresh().catch(() => false);
if (!resumed) show_login();
