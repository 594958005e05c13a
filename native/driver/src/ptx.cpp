#include "ptx.h"
#include <algorithm>
#include <cctype>
#include <map>
#include <stdexcept>

namespace simcuda::ptx {

namespace {

bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '.' || c == '%' || c == '@'; }

// Words, strings and single punctuation characters. Comments are skipped.
class Lexer {
public:
    explicit Lexer(std::string_view text) : text_(text) { next(); }

    bool at_end() const { return token_.empty(); }
    bool is(std::string_view word) const { return token_ == word; }
    std::string_view token() const { return token_; }

    std::string take() {
        std::string taken(token_);
        next();
        return taken;
    }

    bool skip(std::string_view word) {
        bool found = is(word);
        if (found) next();
        return found;
    }

    void expect(std::string_view word) {
        if (!skip(word)) fail("'" + std::string(word) + "' is missing");
    }

    uint32_t number() {
        uint32_t value = 0;
        if (token_.empty()) fail("a number is missing");
        for (char c : token_) {
            if (!isdigit((unsigned char)c)) fail("a number is missing");
            value = value * 10 + (uint32_t)(c - '0');
        }
        next();
        return value;
    }

    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error("PTX line " + std::to_string(line_) + ": " + what + " before '" + std::string(token_.substr(0, 40)) + "'");
    }

    void next() {
        skip_space();
        size_t start = position_;
        if (position_ < text_.size()) {
            if (text_[position_] == '"') {
                size_t end = text_.find('"', position_ + 1);
                position_ = end == std::string_view::npos ? text_.size() : end + 1;
            } else if (is_word(text_[position_])) {
                while (position_ < text_.size() && is_word(text_[position_])) position_++;
            } else {
                position_++;
            }
        }
        token_ = text_.substr(start, position_ - start);
    }

private:
    void skip_space() {
        for (;;) {
            while (position_ < text_.size() && isspace((unsigned char)text_[position_])) line_ += text_[position_++] == '\n';
            std::string_view two = text_.substr(position_, 2);
            if (two == "//") {
                position_ = std::min(text_.find('\n', position_), text_.size());
            } else if (two == "/*") {
                size_t end = std::min(text_.find("*/", position_ + 2), text_.size() - 2) + 2;
                line_ += (int)std::count(text_.begin() + (ptrdiff_t)position_, text_.begin() + (ptrdiff_t)end, '\n');
                position_ = end;
            } else {
                return;
            }
        }
    }

    std::string_view text_, token_;
    size_t position_ = 0;
    int line_ = 1;
};

// Of .u32, .b8, .f64 and so on.
uint32_t bytes_of_type(std::string_view type) {
    uint32_t bits = 0;
    for (char c : type)
        if (isdigit((unsigned char)c)) bits = bits * 10 + (uint32_t)(c - '0');
    return type == ".pred" ? 1 : bits / 8;
}

struct Variable {
    std::string name;
    Parameter declared;
};

// What follows .param or .shared: ".align 64 .b8 name[128]", ".u64 .ptr .global .align 4 name".
Variable variable(Lexer& lexer) {
    Variable v{"", {0, 0, Kind::integer, ""}};
    uint32_t element_bytes = 0;
    while (lexer.token().starts_with('.')) {
        v.declared.text += (v.declared.text.empty() ? "" : " ") + std::string(lexer.token());
        if (lexer.skip(".align")) {
            v.declared.text += " " + std::string(lexer.token());
            v.declared.alignment = lexer.number();
            continue;
        }
        if (lexer.skip(".ptr") || lexer.skip(".global") || lexer.skip(".shared") || lexer.skip(".const") || lexer.skip(".local")) continue;
        if (lexer.token().starts_with(".f")) v.declared.kind = Kind::floating;
        element_bytes = bytes_of_type(lexer.token());
        lexer.next();
    }
    v.name = lexer.take();
    v.declared.bytes = element_bytes;
    if (lexer.skip("[")) {
        v.declared.kind = Kind::bytes;
        v.declared.bytes = lexer.is("]") ? 0 : element_bytes * lexer.number();
        lexer.expect("]");
    }
    if (v.declared.alignment == 0) v.declared.alignment = element_bytes;
    return v;
}

int version(Lexer& lexer) {
    std::string text = lexer.take();
    int major, minor;
    if (sscanf(text.c_str(), "%d.%d", &major, &minor) != 2) lexer.fail("the version is missing");
    return 10 * major + minor;
}

std::vector<Parameter> parameters(Lexer& lexer) {
    std::vector<Parameter> list;
    if (!lexer.skip("(")) return list;
    while (!lexer.is(")")) {
        lexer.expect(".param");
        list.push_back(variable(lexer).declared);
        if (!lexer.skip(",") && !lexer.is(")")) lexer.fail("',' or ')' is missing");
    }
    lexer.next();
    return list;
}

// Between the parameters and the body: .maxntid 256, 1, 1 and others.
void directives(Lexer& lexer, Entry& entry) {
    while (!lexer.is("{")) {
        if (lexer.at_end()) lexer.fail("the body of " + entry.name + " is missing");
        bool exact = lexer.is(".reqntid");
        if (!exact && !lexer.is(".maxntid")) {
            lexer.next();
            continue;
        }
        lexer.next();
        entry.exact = exact;
        std::fill_n(entry.max_threads, 3, 1u);
        int i = 0;
        do {
            if (i == 3) lexer.fail("more than three numbers of threads");
            entry.max_threads[i++] = lexer.number();
        } while (lexer.skip(","));
    }
}

// Static shared memory: what the body declares, and what it uses of the module's.
void body(Lexer& lexer, Entry& entry, const std::map<std::string, uint32_t, std::less<>>& module_shared) {
    std::map<std::string, uint32_t, std::less<>> used;
    int depth = 0;
    do {
        if (lexer.at_end()) lexer.fail("the body of " + entry.name + " has no end");
        if (lexer.skip(".shared")) {
            Variable v = variable(lexer);
            used[v.name] = v.declared.bytes;
            continue;
        }
        if (auto shared = module_shared.find(lexer.token()); shared != module_shared.end()) used[shared->first] = shared->second;
        if (lexer.is("{")) depth++;
        if (lexer.is("}")) depth--;
        lexer.next();
    } while (depth > 0);
    for (auto& [name, bytes] : used) entry.static_shared_bytes += bytes;
}

// Comments of the form "// source: name digest".
std::vector<std::pair<std::string, std::string>> sources(std::string_view text) {
    constexpr std::string_view mark = "// source: ";
    std::vector<std::pair<std::string, std::string>> list;
    for (size_t at = text.find(mark); at != std::string_view::npos; at = text.find(mark, at + 1)) {
        std::string_view line = text.substr(at + mark.size(), text.find_first_of("\r\n", at) - at - mark.size());
        size_t space = line.find(' ');
        if (space != std::string_view::npos) list.emplace_back(line.substr(0, space), line.substr(space + 1));
    }
    return list;
}

}  // namespace

Module parse(std::string_view text) {
    Lexer lexer(text);
    Module module;
    std::map<std::string, uint32_t, std::less<>> module_shared;
    while (!lexer.at_end()) {
        if (lexer.skip(".version")) {
            module.version = version(lexer);
        } else if (lexer.skip(".target")) {
            module.target = lexer.take();
        } else if (lexer.skip(".shared")) {
            Variable v = variable(lexer);
            module_shared[v.name] = v.declared.bytes;
        } else if (lexer.skip(".entry")) {
            Entry entry;
            entry.name = lexer.take();
            entry.parameters = parameters(lexer);
            directives(lexer, entry);
            body(lexer, entry, module_shared);
            module.entries.push_back(std::move(entry));
        } else {
            lexer.next();
        }
    }
    if (module.version == 0 || module.target.empty()) throw std::runtime_error("this is no PTX: .version or .target is missing");
    module.sources = sources(text);
    return module;
}

}  // namespace simcuda::ptx
