def write(): return ''
